"""Sentence patterns without a verb of action: what things are like, have, cost; where they are; when; how to get there."""

from data.phrasebook.actions import (
    NUMBERS, SUBJECTS, Sentence, attribute_of, choose_subject,
)  # fmt: skip
from data.phrasebook.grammar import (
    GRADED, chinese_number, contract, english_auxiliary, english_number, german_clause, german_form, german_haben, german_number,
    german_sein, graded, noun_phrase, sentence, Predicate,
)  # fmt: skip
from data.phrasebook.nouns import MASS, NOUNS
from data.phrasebook.words import (
    ADJECTIVES, CITIES, CONTAINERS, FUTURE_TIMES, GIVING, GRADES, LANGUAGES, LOCATIONS, NAMES, PLEASANTRIES, WEATHER, Word,
)  # fmt: skip


def _nouns(*classes):
    return {name: noun for name, noun in NOUNS.items() if noun.classes & set(classes)}


THINGS, PLACES, SMALL = _nouns("thing", "furniture", "vehicle"), _nouns("place"), _nouns("small")
FURNITURE = {name: noun for name, noun in _nouns("furniture").items() if name != "carpet"}
LOVED_ONES, CLOTHES = _nouns("kin", "mine"), _nouns("wear")
SINGULAR = {name: subject for name, subject in SUBJECTS.items() if name not in ("we", "they")}
DISHES = _nouns("dish", "soup") | MASS
OPENING = {
    name: NOUNS[name]
    for name in ("museum", "bank", "post office", "pharmacy", "supermarket", "library", "bakery", "bookstore", "café",
                 "swimming pool", "zoo", "town hall", "restaurant")
}  # fmt: skip
# German with its article in the dative; Chinese: sit in it, ride it, drive it.
VEHICLES = {
    word.name: word
    for word in (
        Word("train", "dem Zug", "坐火车"), Word("bus", "dem Bus", "坐公共汽车"), Word("car", "dem Auto", "开车"),
        Word("ferry", "der Fähre", "坐渡轮"), Word("bicycle", "dem Fahrrad", "骑自行车"),
        Word("motorcycle", "dem Motorrad", "骑摩托车"),
    )
}  # fmt: skip
PUBLIC = {name: NOUNS[name] for name in ("train", "bus", "ferry")}
DRINKS = {"cup": ("coffee", "tea", "milk"), "glass": ("water", "milk", "juice", "wine", "lemonade", "beer"),
          "bottle": ("water", "beer", "wine", "milk", "juice", "lemonade")}  # fmt: skip
# Minutes past the hour; German names some by the hour to come.
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
    """A time of the day: (hour, minute) as a Word, "half past three", "halb vier", "三点半"."""
    hour, minute = choose(range(1, 13)), choose(tuple(MINUTES))
    names, following = MINUTES[minute], hour % 12 + 1

    def german(n):
        return "ein" if n == 1 and minute == 0 else german_number(n)

    return Word(
        names.name.format(hour=english_number(hour), next=english_number(following)),
        names.german.format(hour=german(hour), next=german(following)),
        names.chinese.format(hour=chinese_number(hour, counting=True)),
    )


def property_of(choose):
    """The coat is too expensive. Der Mantel ist zu teuer. 那件大衣太贵了。"""
    noun, determiner = choose(THINGS), choose(("the", "this", "my", "our"))
    adjective, grade, phrase = choose(GRADED), choose(GRADES), noun_phrase(noun, determiner)
    return Sentence(
        sentence(phrase.english, "is", grade.name, adjective.name),
        sentence(phrase.german["nom"], "ist", grade.german, adjective.german),
        f"{phrase.chinese}{graded(adjective, grade)}。",
        {(adjective.name, noun.english)},
    )


def taste(choose):
    """The soup is too salty. Die Suppe ist zu salzig. 那碗汤太咸了。"""
    noun, determiner = choose(DISHES), choose(("the", "this", "my"))
    adjective = choose({name: adjective for name, adjective in ADJECTIVES.items() if "taste" in adjective.classes})
    grade, phrase = choose(GRADES), noun_phrase(noun, determiner)
    return Sentence(
        sentence(phrase.english, "is", grade.name, adjective.name),
        sentence(phrase.german["nom"], "ist", grade.german, adjective.german),
        f"{phrase.chinese}{graded(adjective, grade)}。",
        {(adjective.name, noun.english)},
    )


def comparison(choose):
    """This coat is more expensive than my coat. Dieser Mantel ist teurer als mein Mantel. 这件大衣比我的大衣贵。"""
    noun, adjective, owner = choose(THINGS), choose(GRADED), choose(("my", "your", "his", "her", "our", "their"))
    one, other = noun_phrase(noun, "this"), noun_phrase(noun, owner)
    return Sentence(
        sentence(one.english, "is", _comparative(adjective.name), "than", other.english),
        sentence(one.german["nom"], "ist", adjective.comparative, "als", other.german["nom"]),
        f"{one.chinese}比{other.chinese}{graded(adjective, Word('', '', ''))}。",
        {(adjective.name, noun.english)},
    )


def taller(choose):
    """Anna is taller than Paul. Anna ist größer als Paul. 安娜比保罗高。"""
    one = choose_subject(choose)
    other = choose({name: subject for name, subject in NAMES.items() if name != one.name})
    adjective = choose({name: adjective for name, adjective in ADJECTIVES.items() if "figure" in adjective.classes})
    return Sentence(
        sentence(one.name, english_auxiliary(one, "be"), _comparative(adjective.name), "than", other.name),
        sentence(one.german, german_sein(one), adjective.comparative, "als", other.german),
        f"{one.chinese}比{other.chinese}{adjective.chinese}。",
        {(one.name, other.name)},
    )


def _comparative(adjective):
    """cheap -> cheaper, big -> bigger, heavy -> heavier, expensive -> more expensive."""
    if adjective in ("expensive", "beautiful", "practical", "careful"):
        return f"more {adjective}"
    if adjective == "big":
        return "bigger"
    return adjective[:-1] + "ier" if adjective.endswith("y") else adjective + "er"


def state(choose):
    """My mother is very tired. Meine Mutter ist sehr müde. 我妈妈很累。"""
    subject, grade = choose_subject(choose), choose(GRADES)
    adjective = choose({name: adjective for name, adjective in ADJECTIVES.items() if "state" in adjective.classes})
    return Sentence(
        sentence(subject.name, english_auxiliary(subject, "be"), grade.name, adjective.name),
        sentence(subject.german, german_sein(subject), grade.german, adjective.german),
        f"{subject.chinese}{graded(adjective, grade)}。",
        {(subject.name, adjective.name)},
    )


def has(choose):
    """Paul has a new suitcase. Paul hat einen neuen Koffer. 保罗有一个新行李箱。"""
    subject, noun = choose_subject(choose), choose(THINGS)
    phrase = noun_phrase(noun, "a", attribute_of(choose, noun))
    return Sentence(
        sentence(subject.name, english_auxiliary(subject, "have"), phrase.english),
        sentence(subject.german, german_haben(subject), phrase.german["acc"]),
        f"{subject.chinese}有{phrase.chinese}。",
        {("have", noun.english)},
    )


def has_no(choose):
    """I have no umbrella. Ich habe keinen Regenschirm. 我没有雨伞。"""
    subject, phrase = choose_subject(choose), noun_phrase(choose(THINGS), "no")
    return Sentence(
        sentence(subject.name, english_auxiliary(subject, "have"), phrase.english),
        sentence(subject.german, german_haben(subject), phrase.german["acc"]),
        f"{subject.chinese}没有{phrase.chinese}。",
        {("have", phrase.name)},
    )


def has_number(choose):
    """She has two brothers. Sie hat zwei Brüder. 她有两个哥哥。"""
    subject, noun = choose_subject(choose), choose(_nouns("child", "animal", "mine"))
    phrase = noun_phrase(noun, choose(NUMBERS))
    return Sentence(
        sentence(subject.name, english_auxiliary(subject, "have"), phrase.english),
        sentence(subject.german, german_haben(subject), phrase.german["acc"]),
        f"{subject.chinese}有{phrase.chinese}。",
        {("have", noun.english)},
    )


def there_is(choose):
    """There is a pharmacy next to the train station. Neben dem Bahnhof gibt es eine Apotheke. 火车站旁边有一家药店。"""
    noun, where = choose(PLACES), choose({name: LOCATIONS[name] for name in ("next to", "behind", "in front of")})
    landmark = noun_phrase(choose({name: place for name, place in PLACES.items() if name != noun.english}), "the")
    place = noun_phrase(noun, "a")
    return Sentence(
        sentence("there is", place.english, where.name, landmark.english),
        sentence(where.german, landmark.german["dat"], "gibt es", place.german["acc"]),
        f"{landmark.chinese}{where.chinese}有{place.chinese}。",
        {(place.name, landmark.name)},
    )


def nearby(choose):
    """Is there a pharmacy near here? Gibt es hier in der Nähe eine Apotheke? 这附近有一家药店吗？"""
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


def price(choose):
    """This hat costs thirty-five euros. Dieser Hut kostet fünfunddreißig Euro. 这顶帽子要三十五欧元。"""
    noun, determiner, euros = choose(THINGS), choose(("the", "this")), choose(range(2, 100))
    phrase = noun_phrase(noun, determiner)
    return Sentence(
        sentence(phrase.english, "costs", english_number(euros), "euros"),
        sentence(phrase.german["nom"], "kostet", german_number(euros), "Euro"),
        f"{phrase.chinese}要{chinese_number(euros, counting=True)}欧元。",
        {("cost", noun.english)},
    )


def how_much(choose):
    """How much does the red scarf cost? Wie viel kostet der rote Schal? 那条红色的围巾多少钱？"""
    noun, determiner = choose(THINGS), choose(("the", "this"))
    phrase = noun_phrase(noun, determiner, attribute_of(choose, noun))
    return Sentence(
        sentence("how much does", phrase.english, "cost", end="?"),
        sentence("wie viel kostet", phrase.german["nom"], end="?"),
        f"{phrase.chinese}多少钱？",
        {("cost", noun.english)},
    )


def clock(choose):
    """It is half past three. Es ist halb vier. 现在三点半。"""
    time = clock_time(choose)
    return Sentence(sentence("it is", time.name), sentence("es ist", time.german), f"现在{time.chinese}。", {("clock", time.name)})


def departure(choose):
    """The train to Vienna leaves at a quarter past two. Der Zug nach Wien fährt um Viertel nach zwei ab. 去维也纳的火车两点一刻出发。"""
    vehicle, city, time = noun_phrase(choose(PUBLIC), "the"), choose(CITIES), clock_time(choose)
    return Sentence(
        sentence(vehicle.english, "to", city.name, "leaves at", time.name),
        sentence(vehicle.german["nom"], "nach", city.german, "fährt um", time.german, "ab"),
        f"去{city.chinese}的{vehicle.chinese}{time.chinese}出发。",
        {(city.name, time.name)},
    )


def which(choose):
    """Which bus goes to Prague? Welcher Bus fährt nach Prag? 哪辆公共汽车去布拉格？"""
    vehicle, city = choose(PUBLIC), choose(CITIES)
    ending = {"m": "er", "f": "e", "n": "es"}[vehicle.gender]
    return Sentence(
        sentence("which", vehicle.english, "goes to", city.name, end="?"),
        sentence(f"welch{ending}", vehicle.german, "fährt nach", city.german, end="?"),
        f"哪{vehicle.measure}{vehicle.chinese}去{city.chinese}？",
        {(vehicle.english, city.name)},
    )


def travel(choose):
    """Tomorrow we are going to Rome by train. Morgen fahren wir mit dem Zug nach Rom. 明天我们坐火车去罗马。"""
    subject, time = choose_subject(choose), choose(FUTURE_TIMES)
    vehicle, city = choose(VEHICLES), choose(CITIES)
    predicate = Predicate(german_form(subject.person, "fahre", "fährt", "fahren"), "", "")
    return Sentence(
        sentence(time.name, subject.name, english_auxiliary(subject, "be"), "going to", city.name, "by", vehicle.name),
        sentence(german_clause(subject.german, predicate, "mit", vehicle.german, "nach", city.german, front=time.german)),
        f"{time.chinese}{subject.chinese}{vehicle.chinese}去{city.chinese}。",
        {(vehicle.name, city.name)},
    )


def location(choose):
    """My key is under the table. Mein Schlüssel ist unter dem Tisch. 我的钥匙在桌子下面。"""
    noun, determiner, where = choose(SMALL), choose(("the", "my", "your", "his", "her")), choose(LOCATIONS)
    furniture = choose(FURNITURE)
    phrase, place = noun_phrase(noun, determiner), noun_phrase(furniture, "the")
    return Sentence(
        sentence(phrase.english, "is", where.name, place.english),
        sentence(phrase.german["nom"], "ist", where.german, place.german["dat"]),
        f"{phrase.chinese}在{furniture.chinese}{where.chinese}。",
        {(noun.english, furniture.english)},
    )


def put(choose):
    """Anna put the book on the table. Anna hat das Buch auf den Tisch gelegt. 安娜把那本书放在桌子上了。"""
    subject, noun, where = choose_subject(choose), choose(SMALL), choose(LOCATIONS)
    determiner, furniture = choose(("the", subject.own)), choose(FURNITURE)
    phrase, place = noun_phrase(noun, determiner), noun_phrase(furniture, "the")
    participle = "gestellt" if "upright" in noun.classes else "gelegt"
    return Sentence(
        sentence(subject.name, "put", phrase.english, where.name, place.english),
        sentence(subject.german, german_haben(subject), phrase.german["acc"], where.german, place.german["acc"], participle),
        f"{subject.chinese}把{phrase.chinese}放在{furniture.chinese}{where.chinese}了。",
        {(noun.english, furniture.english)},
    )


def give(choose):
    """She gave her mother a flower. Sie hat ihrer Mutter eine Blume gegeben. 她给了她妈妈一朵花。"""
    subject, giving = choose_subject(choose), choose(GIVING)
    receiver, noun = noun_phrase(choose(LOVED_ONES), subject.own), choose(SMALL)
    phrase = noun_phrase(noun, "a", attribute_of(choose, noun))
    return Sentence(
        sentence(subject.name, giving.past, receiver.english, phrase.english),
        sentence(subject.german, german_haben(subject), receiver.german["dat"], phrase.german["acc"], giving.german),
        f"{subject.chinese}{giving.chinese.replace('...', receiver.chinese)}{phrase.chinese}。",
        {(giving.name, noun.english)},
    )


def like(choose):
    """My uncle does not like the green hat. Der grüne Hut gefällt meinem Onkel nicht. 我叔叔不喜欢那顶绿色的帽子。"""
    subject, noun, determiner = choose_subject(choose), choose(THINGS), choose(("the", "this"))
    phrase, negated = noun_phrase(noun, determiner, attribute_of(choose, noun)), choose((True, False))
    does = english_auxiliary(subject, "do") + " not like" if negated else "likes" if subject.person == "3" else "like"
    return Sentence(
        sentence(subject.name, does, phrase.english),
        sentence(phrase.german["nom"], "gefällt", subject.dative, "nicht" if negated else ""),
        f"{subject.chinese}{'不' if negated else ''}喜欢{phrase.chinese}。",
        {("like", noun.english)},
    )


def order_drinks(choose):
    """I would like three cups of coffee, please. Ich hätte gern drei Tassen Kaffee. 请给我三杯咖啡。"""
    container, number = choose(CONTAINERS), choose(range(1, 10))
    drink = choose({name: MASS[name] for name in DRINKS[container.name]})
    article = "ein" if container.german == "Glas" else "eine"
    english = f"a {container.name}" if number == 1 else f"{english_number(number)} {container.plural}"
    german = f"{article} {container.german}" if number == 1 else f"{german_number(number)} {container.german_plural}"
    return Sentence(
        sentence("I would like", english, "of", drink.english + ",", "please"),
        sentence("ich hätte gern", german, drink.german),
        f"请给我{chinese_number(number, counting=True)}{container.chinese}{drink.chinese}。",
        {(container.name, drink.english)},
    )


def been_to(choose):
    """Have you ever been to Paris? Waren Sie schon einmal in Paris? 您去过巴黎吗？"""
    subject, city = choose_subject(choose), choose(CITIES)
    predicate = Predicate(_war(subject), "", "")
    return Sentence(
        sentence(english_auxiliary(subject, "have"), subject.name, "ever been to", city.name, end="?"),
        sentence(german_clause(subject.german, predicate, "schon einmal in", city.german, order="first"), end="?"),
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


def _war(subject):
    return german_form(subject.person, "war", "war", "waren")


def wears(choose):
    """Today Lisa is wearing a blue dress. Heute trägt Lisa ein blaues Kleid. 丽莎今天穿着一条蓝色的连衣裙。"""
    subject, noun = choose(SINGULAR), choose(CLOTHES)
    phrase = noun_phrase(noun, "a", attribute_of(choose, noun))
    predicate = Predicate(german_form(subject.person, "trage", "trägt", "tragen"), "", "")
    return Sentence(
        sentence("today", subject.name, english_auxiliary(subject, "be"), "wearing", phrase.english),
        sentence(german_clause(subject.german, predicate, phrase.german["acc"], front="heute")),
        f"{subject.chinese}今天{'戴' if noun.english in ('hat', 'scarf') else '穿'}着{phrase.chinese}。",
        {("wear", noun.english)},
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


def age(choose):
    """My grandfather is seventy-two years old. Mein Großvater ist zweiundsiebzig Jahre alt. 我爷爷七十二岁。"""
    subject, years = choose_subject(choose), choose(range(2, 100))
    return Sentence(
        sentence(subject.name, english_auxiliary(subject, "be"), english_number(years), "years old"),
        sentence(subject.german, german_sein(subject), german_number(years), "Jahre alt"),
        f"{subject.chinese}{chinese_number(years, counting=True)}岁。",
        {(subject.name, years)},
    )


def lives_in(choose):
    """Maria has lived in Vienna for three years. Maria wohnt seit drei Jahren in Wien. 玛丽亚在维也纳住了三年了。"""
    subject, city, years = choose_subject(choose), choose(CITIES), choose(NUMBERS)
    predicate = Predicate(german_form(subject.person, "wohne", "wohnt", "wohnen"), "", "")
    return Sentence(
        sentence(subject.name, english_auxiliary(subject, "have"), "lived in", city.name, "for", english_number(years), "years"),
        sentence(german_clause(subject.german, predicate, "seit", german_number(years), "Jahren in", city.german)),
        f"{subject.chinese}在{city.chinese}住了{chinese_number(years, counting=True)}年了。",
        {(subject.name, city.name)},
    )


def learns(choose):
    """I have been learning German for two years. Ich lerne seit zwei Jahren Deutsch. 我学德语学了两年了。"""
    subject, language, years = choose_subject(choose), choose(LANGUAGES), choose(NUMBERS)
    predicate = Predicate(german_form(subject.person, "lerne", "lernt", "lernen"), "", "")
    has_been = f"{english_auxiliary(subject, 'have')} been learning"
    return Sentence(
        sentence(subject.name, has_been, language.name, "for", english_number(years), "years"),
        sentence(german_clause(subject.german, predicate, "seit", german_number(years), "Jahren", language.german)),
        f"{subject.chinese}学{language.chinese}学了{chinese_number(years, counting=True)}年了。",
        {(subject.name, language.name)},
    )


def speaks(choose):
    """He speaks French and a little Russian. Er spricht Französisch und ein bisschen Russisch. 他会说法语和一点儿俄语。"""
    subject, well = choose_subject(choose), choose(LANGUAGES)
    badly = choose({name: language for name, language in LANGUAGES.items() if name != well.name})
    return Sentence(
        sentence(subject.name, "speaks" if subject.person == "3" else "speak", well.name, "and a little", badly.name),
        sentence(
            subject.german, german_form(subject.person, "spreche", "spricht", "sprechen"), well.german, "und ein bisschen",
            badly.german,
        ),
        f"{subject.chinese}会说{well.chinese}和一点儿{badly.chinese}。",
        {(well.name, badly.name)},
    )  # fmt: skip


def opens_at(choose):
    """The museum closes at five o'clock. Das Museum schließt um fünf Uhr. 博物馆五点关门。"""
    place = noun_phrase(choose(OPENING), "the")
    verb = choose({"opens": Word("opens", "öffnet", "开门"), "closes": Word("closes", "schließt", "关门")})
    time = clock_time(choose)
    return Sentence(
        sentence(place.english, verb.name, "at", time.name),
        sentence(place.german["nom"], verb.german, "um", time.german),
        f"{place.chinese}{time.chinese}{verb.chinese}。",
        {(place.name, time.name)},
    )


def appointment(choose):
    """I am meeting my friend at four o'clock in front of the cinema. Ich treffe meinen Freund um vier Uhr vor dem Kino. 我四点在电影院前面见我的朋友。"""
    subject, friend, time = choose_subject(choose), choose(LOVED_ONES), clock_time(choose)
    place, where = noun_phrase(choose(PLACES), "the"), choose({name: LOCATIONS[name] for name in ("in front of", "behind", "next to")})
    phrase = noun_phrase(friend, subject.own)
    predicate = Predicate(german_form(subject.person, "treffe", "trifft", "treffen"), "", "")
    middle = (phrase.german["acc"], "um", time.german, where.german, place.german["dat"])
    return Sentence(
        sentence(subject.name, english_auxiliary(subject, "be"), "meeting", phrase.english, "at", time.name, where.name, place.english),
        sentence(german_clause(subject.german, predicate, *middle)),
        f"{subject.chinese}{time.chinese}在{place.chinese}{where.chinese}见{phrase.chinese}。",
        {("meet", friend.english)},
    )


def distance(choose):
    """It is twenty kilometers to Munich. Bis München sind es zwanzig Kilometer. 到慕尼黑有二十公里。"""
    city, kilometers = choose(CITIES), choose(range(2, 100))
    return Sentence(
        sentence("it is", english_number(kilometers), "kilometers to", city.name),
        sentence("bis", city.german, "sind es", german_number(kilometers), "Kilometer"),
        f"到{city.chinese}有{chinese_number(kilometers, counting=True)}公里。",
        {(city.name, kilometers)},
    )


def pleasantry(choose):
    """Thank you very much. Vielen Dank. 非常感谢。"""
    words = choose(PLEASANTRIES)
    return Sentence(words.name, words.german, words.chinese, set())


PATTERNS = (
    property_of, taste, comparison, taller, state, has, has_no, has_number, there_is, nearby, nearest, way, price, how_much, clock,
    departure, which, travel, location, put, give, like, order_drinks, been_to, never_been_to, wears, weather, age, lives_in,
    learns, speaks, opens_at, appointment, distance, pleasantry,
)  # fmt: skip
