"""Sentence patterns of place and time: where something is, how to get there, when it begins."""

from data.corpora.phrasebook.actions import NUMBERS, Sentence, attribute_of, choose_subject
from data.corpora.phrasebook.grammar import (
    Predicate,
    chinese_number,
    contract,
    english_auxiliary,
    english_number,
    german_clause,
    german_form,
    german_haben,
    german_number,
    noun_phrase,
    sentence,
)
from data.corpora.phrasebook.nouns import NOUNS, nouns_of
from data.corpora.phrasebook.words import CITIES, FUTURE_TIMES, LOCATIONS, WEATHER, Word

PLACES, SMALL, LOVED_ONES = nouns_of("place"), nouns_of("small"), nouns_of("kin", "mine")
# Places that have a front and a back.
LANDMARKS = {name: noun for name, noun in PLACES.items() if name not in ("lake", "beach", "bridge")}
FURNITURE = {name: noun for name, noun in nouns_of("furniture").items() if name != "carpet"}
OPENING = {
    name: NOUNS[name]
    for name in (
        "museum",
        "bank",
        "post office",
        "pharmacy",
        "supermarket",
        "library",
        "bakery",
        "bookstore",
        "café",
        "swimming pool",
        "zoo",
        "town hall",
        "restaurant",
    )
}
# The German has its article in the dative. The Chinese has the verb for traveling in the vehicle.
VEHICLES = {
    word.name: word
    for word in (
        Word("train", "dem Zug", "坐火车"),
        Word("bus", "dem Bus", "坐大巴"),
        Word("car", "dem Auto", "开车"),
        Word("ferry", "der Fähre", "坐渡轮"),
        Word("bicycle", "dem Fahrrad", "骑自行车"),
        Word("motorcycle", "dem Motorrad", "骑摩托车"),
    )
}
# 大巴 is a bus between cities.
PUBLIC = {
    "train": NOUNS["train"],
    "bus": NOUNS["bus"]._replace(chinese="大巴"),
    "ferry": NOUNS["ferry"],
}
# Minutes past the hour. Some are named by the next hour, in German also the half hour.
MINUTES = {
    0: Word("{hour} o'clock", "{hour} Uhr", "{hour}点"),
    5: Word("five past {hour}", "fünf nach {hour}", "{hour}点五分"),
    10: Word("ten past {hour}", "zehn nach {hour}", "{hour}点十分"),
    15: Word("a quarter past {hour}", "Viertel nach {hour}", "{hour}点一刻"),
    20: Word("twenty past {hour}", "zwanzig nach {hour}", "{hour}点二十分"),
    30: Word("half past {hour}", "halb {next}", "{hour}点半"),
    40: Word("twenty to {next}", "zwanzig vor {next}", "{hour}点四十分"),
    45: Word("a quarter to {next}", "Viertel vor {next}", "{hour}点三刻"),
    50: Word("ten to {next}", "zehn vor {next}", "{hour}点五十分"),
}


def clock_time(choose):
    """Chooses a time of day, as a `Word`: "half past three", "halb vier", "三点半"."""
    hour, minute = choose(range(1, 13)), choose(tuple(MINUTES))
    names, following = MINUTES[minute], hour % 12 + 1

    def german(n):
        return "ein" if n == 1 and minute == 0 else german_number(n)

    return Word(
        names.name.format(hour=english_number(hour), next=english_number(following)),
        names.german.format(hour=german(hour), next=german(following)),
        names.chinese.format(hour=chinese_number(hour, counting=True)),
    )


def there_is(choose):
    """There is a pharmacy next to the train station. Neben dem Bahnhof gibt es eine Apotheke.
    火车站旁边有一家药店。"""
    noun, where = (
        choose(PLACES),
        choose({name: LOCATIONS[name] for name in ("next to", "behind", "in front of")}),
    )
    landmark = noun_phrase(
        choose({name: place for name, place in LANDMARKS.items() if name != noun.english}), "the"
    )
    place = noun_phrase(noun, "a")
    return Sentence(
        sentence("there is", place.english, where.name, landmark.english),
        sentence(where.german, landmark.german["dat"], "gibt es", place.german["acc"]),
        f"{landmark.chinese}{where.chinese}有{place.chinese}。",
        {(place.name, landmark.name)},
    )


def nearby(choose):
    """Is there a pharmacy near here? Gibt es hier in der Nähe eine Apotheke?
    这附近有一家药店吗？"""
    noun = choose(PLACES)
    place = noun_phrase(noun, "a", attribute_of(choose, noun))
    return Sentence(
        sentence("is there", place.english, "near here", end="?"),
        sentence("gibt es hier in der Nähe", place.german["acc"], end="?"),
        f"这附近有{place.chinese}吗？",
        {("nearby", noun.english)},
    )


def nearest(choose):
    """Where is the nearest bank? Wo ist die nächste Bank? 最近的银行在哪里？"""
    noun = choose(PLACES)
    article = {"m": "der", "f": "die", "n": "das"}[noun.gender]
    return Sentence(
        sentence("where is the nearest", noun.english, end="?"),
        sentence("wo ist", article, "nächste", noun.german, end="?"),
        f"最近的{noun.chinese}在哪里？",
        {("nearest", noun.english)},
    )


def way(choose):
    """How do I get to the airport? Wie komme ich zum Flughafen? 去机场怎么走？"""
    place = noun_phrase(choose(PLACES), "the")
    return Sentence(
        sentence("how do I get to", place.english, end="?"),
        sentence("wie komme ich", contract(f"zu {place.german['dat']}"), end="?"),
        f"去{place.chinese}怎么走？",
        {("way", place.name)},
    )


def clock(choose):
    """It is half past three. Es ist halb vier. 现在三点半。"""
    time = clock_time(choose)
    return Sentence(
        sentence("it is", time.name),
        sentence("es ist", time.german),
        f"现在{time.chinese}。",
        {("clock", time.name)},
    )


def departure(choose):
    """The train to Vienna leaves at a quarter past two. Der Zug nach Wien fährt um Viertel nach
    zwei ab. 去维也纳的火车两点一刻出发。"""
    vehicle, city, time = noun_phrase(choose(PUBLIC), "the"), choose(CITIES), clock_time(choose)
    return Sentence(
        sentence(vehicle.english, "to", city.name, "leaves at", time.name),
        sentence(vehicle.german["nom"], "nach", city.german, "fährt um", time.german, "ab"),
        f"去{city.chinese}的{vehicle.chinese}{time.chinese}出发。",
        {(city.name, time.name)},
    )


def which(choose):
    """Which bus goes to Prague? Welcher Bus fährt nach Prag? 哪辆大巴去布拉格？"""
    vehicle, city = choose(PUBLIC), choose(CITIES)
    ending = {"m": "er", "f": "e", "n": "es"}[vehicle.gender]
    return Sentence(
        sentence("which", vehicle.english, "goes to", city.name, end="?"),
        sentence(f"welch{ending}", vehicle.german, "fährt nach", city.german, end="?"),
        f"哪{vehicle.measure}{vehicle.chinese}去{city.chinese}？",
        {(vehicle.english, city.name)},
    )


def travel(choose):
    """Tomorrow we are going to Rome by train. Morgen fahren wir mit dem Zug nach Rom.
    明天我们坐火车去罗马。"""
    subject, time = choose_subject(choose), choose(FUTURE_TIMES)
    vehicle, city = choose(VEHICLES), choose(CITIES)
    predicate = Predicate(german_form(subject.person, "fahre", "fährt", "fahren"), "", "")
    return Sentence(
        sentence(
            time.name,
            subject.name,
            english_auxiliary(subject, "be"),
            "going to",
            city.name,
            "by",
            vehicle.name,
        ),
        sentence(
            german_clause(
                subject.german,
                predicate,
                "mit",
                vehicle.german,
                "nach",
                city.german,
                front=time.german,
            )
        ),
        f"{time.chinese}{subject.chinese}{vehicle.chinese}去{city.chinese}。",
        {(vehicle.name, city.name)},
    )


def location(choose):
    """My key is under the table. Mein Schlüssel ist unter dem Tisch. 我的钥匙在桌子下面。"""
    noun, determiner, where = (
        choose(SMALL),
        choose(("the", "my", "your", "his", "her")),
        choose(LOCATIONS),
    )
    furniture = choose(FURNITURE)
    phrase, place = noun_phrase(noun, determiner), noun_phrase(furniture, "the")
    return Sentence(
        sentence(phrase.english, "is", where.name, place.english),
        sentence(phrase.german["nom"], "ist", where.german, place.german["dat"]),
        f"{phrase.chinese}在{furniture.chinese}{where.chinese}。",
        {(noun.english, furniture.english)},
    )


def put(choose):
    """Anna put the book on the table. Anna hat das Buch auf den Tisch gelegt.
    安娜把那本书放在桌子上了。"""
    subject, noun, where = choose_subject(choose), choose(SMALL), choose(LOCATIONS)
    determiner, furniture = choose(("the", subject.own)), choose(FURNITURE)
    phrase, place = noun_phrase(noun, determiner), noun_phrase(furniture, "the")
    participle = "gestellt" if "upright" in noun.classes else "gelegt"
    return Sentence(
        sentence(subject.name, "put", phrase.english, where.name, place.english),
        sentence(
            subject.german,
            german_haben(subject),
            phrase.german["acc"],
            where.german,
            place.german["acc"],
            participle,
        ),
        f"{subject.chinese}把{phrase.chinese}放在{furniture.chinese}{where.chinese}了。",
        {(noun.english, furniture.english)},
    )


def been_to(choose):
    """Have you ever been to Paris? Waren Sie schon einmal in Paris? 您去过巴黎吗？"""
    subject, city = choose_subject(choose), choose(CITIES)
    predicate = Predicate(_war(subject), "", "")
    return Sentence(
        sentence(
            english_auxiliary(subject, "have"), subject.name, "ever been to", city.name, end="?"
        ),
        sentence(
            german_clause(subject.german, predicate, "schon einmal in", city.german, order="first"),
            end="?",
        ),
        f"{subject.chinese}去过{city.chinese}吗？",
        {(subject.name, city.name)},
    )


def never_been_to(choose):
    """He has never been to Beijing. Er war noch nie in Peking. 他从来没去过北京。"""
    subject, city = choose_subject(choose), choose(CITIES)
    return Sentence(
        sentence(subject.name, english_auxiliary(subject, "have"), "never been to", city.name),
        sentence(subject.german, _war(subject), "noch nie in", city.german),
        f"{subject.chinese}从来没去过{city.chinese}。",
        {(subject.name, city.name)},
    )


def weather(choose):
    """It is raining in Berlin today. In Berlin regnet es heute. 柏林今天下雨。"""
    kind, city, time = choose(WEATHER), choose(CITIES), choose(FUTURE_TIMES)
    return Sentence(
        sentence(kind.name if time.name == "today" else kind.future, "in", city.name, time.name),
        sentence("in", city.german, kind.finite, "es", time.german, kind.rest),
        f"{city.chinese}{time.chinese}{kind.chinese}。",
        {(kind.name, city.name)},
    )


def lives_in(choose):
    """Maria has lived in Vienna for three years. Maria wohnt seit drei Jahren in Wien.
    玛丽亚在维也纳住了三年了。"""
    subject, city, years = choose_subject(choose), choose(CITIES), choose(NUMBERS)
    predicate = Predicate(german_form(subject.person, "wohne", "wohnt", "wohnen"), "", "")
    return Sentence(
        sentence(
            subject.name,
            english_auxiliary(subject, "have"),
            "lived in",
            city.name,
            "for",
            english_number(years),
            "years",
        ),
        sentence(
            german_clause(
                subject.german, predicate, "seit", german_number(years), "Jahren in", city.german
            )
        ),
        f"{subject.chinese}在{city.chinese}住了{chinese_number(years, counting=True)}年了。",
        {(subject.name, city.name)},
    )


def opens_at(choose):
    """The museum closes at five o'clock. Das Museum schließt um fünf Uhr. 博物馆五点关门。"""
    place = noun_phrase(choose(OPENING), "the")
    verb = choose(
        {"opens": Word("opens", "öffnet", "开门"), "closes": Word("closes", "schließt", "关门")}
    )
    time = clock_time(choose)
    return Sentence(
        sentence(place.english, verb.name, "at", time.name),
        sentence(place.german["nom"], verb.german, "um", time.german),
        f"{place.chinese}{time.chinese}{verb.chinese}。",
        {(place.name, time.name)},
    )


def appointment(choose):
    """I am meeting my friend at four o'clock in front of the cinema. Ich treffe meinen Freund um
    vier Uhr vor dem Kino. 我四点在电影院前面见我的朋友。"""
    subject, friend, time = choose_subject(choose), choose(LOVED_ONES), clock_time(choose)
    place, where = (
        noun_phrase(choose(LANDMARKS), "the"),
        choose({name: LOCATIONS[name] for name in ("in front of", "behind", "next to")}),
    )
    phrase = noun_phrase(friend, subject.own)
    predicate = Predicate(german_form(subject.person, "treffe", "trifft", "treffen"), "", "")
    middle = (phrase.german["acc"], "um", time.german, where.german, place.german["dat"])
    return Sentence(
        sentence(
            subject.name,
            english_auxiliary(subject, "be"),
            "meeting",
            phrase.english,
            "at",
            time.name,
            where.name,
            place.english,
        ),
        sentence(german_clause(subject.german, predicate, *middle)),
        f"{subject.chinese}{time.chinese}在{place.chinese}{where.chinese}见{phrase.chinese}。",
        {("meet", friend.english)},
    )


def distance(choose):
    """It is twenty kilometers to Munich. Bis München sind es zwanzig Kilometer.
    到慕尼黑有二十公里。"""
    city, kilometers = choose(CITIES), choose(range(2, 100))
    return Sentence(
        sentence("it is", english_number(kilometers), "kilometers to", city.name),
        sentence("bis", city.german, "sind es", german_number(kilometers), "Kilometer"),
        f"到{city.chinese}有{chinese_number(kilometers, counting=True)}公里。",
        {(city.name, kilometers)},
    )


def _war(subject):
    return german_form(subject.person, "war", "war", "waren")


PATTERNS = (
    there_is,
    nearby,
    nearest,
    way,
    clock,
    departure,
    which,
    travel,
    location,
    put,
    been_to,
    never_been_to,
    weather,
    lives_in,
    opens_at,
    appointment,
    distance,
)
