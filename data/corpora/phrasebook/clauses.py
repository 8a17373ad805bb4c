"""Sentence patterns of two clauses.

They express reasons, conditions, reported speech, relative clauses and purposes.
"""

from data.corpora.phrasebook.actions import Sentence, choose_action, choose_subject, english_modal
from data.corpora.phrasebook.grammar import (
    GRADED,
    Action,
    Predicate,
    contract,
    english_auxiliary,
    english_verb,
    german_clause,
    german_form,
    german_haben,
    german_sein,
    graded,
    grades_of,
    noun_phrase,
    pronoun_of,
    sentence,
)
from data.corpora.phrasebook.nouns import NOUNS
from data.corpora.phrasebook.words import (
    ADJECTIVES,
    FUTURE_TIMES,
    MODALS,
    OBJECTS,
    PAST_TIMES,
    SAYING,
    VERBS,
    WEATHER,
)

# For each verb, the places where one goes to do it, and the classes that its objects must have. An
# empty tuple allows all objects of the verb.
PURPOSES = {
    "buy": (("supermarket", "market"), {"food", "drink", "eat"}),
    "meet": (("café", "restaurant", "park", "train station", "museum", "hotel"), ()),
    "pick up": (("train station", "airport", "hotel"), ()),
    "read": (("library", "café", "park"), {"borrow"}),
    "send": (("post office",), ()),
    "order": (("restaurant", "café"), ()),
    "draw": (("zoo", "park"), {"animal"}),
    "photograph": (("zoo", "park"), {"animal"}),
    "borrow": (("library",), {"read"}),
    "visit": (("hospital",), ()),
    "wait for": (("train station", "airport"), {"kin", "person"}),
}
# In German, one goes "zu" these places, and "in" all others.
TO = ("train station", "airport", "post office", "hotel", "market")


def because(choose):
    """Lisa is happy because she found her ring. Lisa ist glücklich, weil sie ihren Ring gefunden
    hat. 丽莎很开心，因为她找到了她的戒指。"""
    subject = choose_subject(choose)
    state = choose(
        {
            name: ADJECTIVES[name]
            for name in ("happy", "sad", "angry", "tired", "nervous", "satisfied")
        }
    )
    action, again = choose_action(choose, "p", subject.own), pronoun_of(subject)
    reason = german_clause(
        again.german, action.perfect(subject), action.german_object, order="last"
    )
    return Sentence(
        sentence(
            subject.name,
            english_auxiliary(subject, "be"),
            state.name,
            "because",
            again.name,
            action.english("past"),
        ),
        sentence(subject.german, german_sein(subject), state.german + ", weil", reason),
        f"{subject.chinese}很{state.chinese}，因为{again.chinese}{action.chinese('了')}。",
        {action.combination},
    )


def although(choose):
    """Although it was cold, he washed his car. Obwohl es kalt war, hat er sein Auto gewaschen.
    虽然很冷，他还是洗了他的汽车。"""
    english, german, chinese = choose(
        {
            "raining": ("it was raining", "es geregnet hat", "下雨了"),
            "snowing": ("it was snowing", "es geschneit hat", "下雪了"),
            "cold": ("it was cold", "es kalt war", "很冷"),
            "hot": ("it was hot", "es heiß war", "很热"),
        }
    )
    subject = choose_subject(choose)
    action = choose_action(choose, "p", subject.own)
    main = german_clause(
        subject.german, action.perfect(subject), action.german_object, order="first"
    )
    return Sentence(
        sentence("although", english + ",", subject.name, action.english("past")),
        sentence("obwohl", german + ",", main),
        f"虽然{chinese}，{subject.chinese}还是{action.chinese('了')}。",
        {action.combination},
    )


def that(choose):
    """He thinks that Anna should sell her car. Er glaubt, dass Anna ihr Auto verkaufen sollte.
    他觉得安娜应该卖她的汽车。"""
    speaker, saying = choose_subject(choose), choose(SAYING)
    subject = choose_subject(choose)
    subject = pronoun_of(subject) if subject is speaker else subject
    modal = choose({name: MODALS[name] for name in ("can", "has to", "should")})
    action = choose_action(choose, "m", subject.own)
    clause = german_clause(
        subject.german, action.modal(modal.name, subject.person), action.german_object, order="last"
    )
    says = saying.third if speaker.person == "3" else saying.name
    return Sentence(
        sentence(
            speaker.name,
            says,
            "that",
            subject.name,
            english_modal(subject, modal.name),
            action.english(),
        ),
        sentence(
            speaker.german,
            german_form(speaker.person, saying.ich, saying.er, saying.plural) + ", dass",
            clause,
        ),
        f"{speaker.chinese}{saying.chinese}{subject.chinese}{modal.chinese}{action.chinese()}。",
        {action.combination},
    )


def whether(choose):
    """I do not know whether he found his key. Ich weiß nicht, ob er seinen Schlüssel gefunden
    hat. 我不知道他有没有找到他的钥匙。"""
    subject = choose_subject(choose)
    action = choose_action(choose, "p", subject.own)
    return Sentence(
        sentence("I do not know whether", subject.name, action.english("past")),
        sentence(
            "ich weiß nicht, ob",
            german_clause(
                subject.german, action.perfect(subject), action.german_object, order="last"
            ),
        ),
        f"我不知道{subject.chinese}有没有{action.chinese()}。",
        {action.combination},
    )


def if_weather(choose):
    """If it rains tomorrow, we will read a book. Wenn es morgen regnet, lesen wir ein Buch.
    如果明天下雨，我们就看一本书。"""
    weather, time, subject = choose(WEATHER), choose(FUTURE_TIMES), choose_subject(choose)
    action = choose_action(choose, "f", subject.own)
    main = german_clause(
        subject.german, action.present(subject.person), action.german_object, order="first"
    )
    return Sentence(
        sentence("if", weather.condition, time.name + ",", subject.name, "will", action.english()),
        sentence("wenn es", time.german, weather.rest, weather.finite + ",", main),
        f"如果{time.chinese}{weather.chinese}，{subject.chinese}就{action.chinese()}。",
        {action.combination},
    )


def relative(choose):
    """The coat that Anna bought yesterday is too expensive. Der Mantel, den Anna gestern gekauft
    hat, ist zu teuer. 安娜昨天买的那件大衣太贵了。"""
    verb = choose(
        {
            name: VERBS[name]
            for name in (
                "buy",
                "sell",
                "repair",
                "look for",
                "find",
                "wash",
                "borrow",
                "rent",
                "wear",
            )
        }
    )
    noun = choose(
        {
            name: noun
            for name, noun in OBJECTS[verb.name].items()
            if noun.classes & {"thing", "furniture", "vehicle"}
        }
    )
    subject, time = choose_subject(choose), choose(PAST_TIMES)
    adjective = choose(GRADED)
    grade = choose(grades_of(adjective))
    pronoun = {"m": "den", "f": "die", "n": "das"}[noun.gender]
    phrase = noun_phrase(noun, "the")
    clause = german_clause(
        pronoun,
        Predicate(german_haben(subject), "", verb.participle),
        subject.german,
        time.german,
        order="last",
    )
    action = Action(verb, phrase, phrase).chinese().removesuffix(phrase.chinese)
    who_when = f"{subject.chinese}{time.chinese}{action}的"
    return Sentence(
        sentence(
            phrase.english,
            "that",
            subject.name,
            english_verb(verb.name, "past"),
            time.name,
            "is",
            grade.name,
            adjective.name,
        ),
        sentence(phrase.german["nom"] + ",", clause + ", ist", grade.german, adjective.german),
        f"{who_when}{phrase.chinese}{graded(adjective, grade)}。",
        {(verb.name, noun.english)},
    )


def purpose(choose):
    """He is going to the market to buy two eggs. Er geht zum Markt, um zwei Eier zu kaufen.
    他去市场买两个鸡蛋。"""
    subject = choose_subject(choose)
    verb = choose({name: VERBS[name] for name in PURPOSES})
    places, classes = PURPOSES[verb.name]
    place = noun_phrase(NOUNS[choose(places)], "the")
    objects = {
        name: noun
        for name, noun in OBJECTS[verb.name].items()
        if not classes or noun.classes & classes
    }
    action = choose_action(choose, "m", subject.own, verb=verb, objects=objects)
    where = f"zu {place.german['dat']}" if place.name in TO else f"in {place.german['acc']}"
    return Sentence(
        sentence(
            subject.name,
            english_auxiliary(subject, "be"),
            "going to",
            place.english,
            "to",
            action.english(),
        ),
        sentence(
            subject.german,
            german_form(subject.person, "gehe", "geht", "gehen"),
            contract(where) + ", um",
            action.german_object,
            action.zu_infinitive,
        ),
        f"{subject.chinese}去{place.chinese}{action.chinese()}。",
        {action.combination},
    )


PATTERNS = (because, although, that, whether, if_weather, relative, purpose)
