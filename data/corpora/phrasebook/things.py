"""Sentence patterns without a verb of action.

They say what things and people are like, and what they have, cost, like and speak.
"""

from data.corpora.phrasebook.actions import (
    NUMBERS,
    SUBJECTS,
    Sentence,
    attribute_of,
    choose_subject,
)
from data.corpora.phrasebook.grammar import (
    GRADED,
    Predicate,
    chinese_number,
    english_auxiliary,
    english_number,
    german_clause,
    german_form,
    german_haben,
    german_number,
    german_sein,
    graded,
    grades_of,
    noun_phrase,
    sentence,
)
from data.corpora.phrasebook.nouns import MASS, nouns_of
from data.corpora.phrasebook.words import (
    ADJECTIVES,
    CONTAINERS,
    GIVING,
    GRADES,
    LANGUAGES,
    NAMES,
    PLEASANTRIES,
    Word,
)

THINGS, SMALL, CLOTHES = (
    nouns_of("thing", "furniture", "vehicle"),
    nouns_of("small"),
    nouns_of("wear"),
)
CHEAP = {
    name: noun
    for name, noun in THINGS.items()
    if not noun.classes & {"furniture", "vehicle", "repair"}
}
LENT = nouns_of("borrow")
LOVED_ONES = nouns_of("kin", "mine")
SINGULAR = {name: subject for name, subject in SUBJECTS.items() if name not in ("we", "they")}
DISHES = nouns_of("dish", "soup") | MASS
DRINKS = {
    "cup": ("coffee", "tea", "milk"),
    "glass": ("water", "milk", "juice", "wine", "lemonade", "beer"),
    "bottle": ("water", "beer", "wine", "milk", "juice", "lemonade"),
}


def property_of(choose):
    """The coat is too expensive. Der Mantel ist zu teuer. 那件大衣太贵了。"""
    noun, determiner = choose(THINGS), choose(("the", "this", "my", "our"))
    adjective, phrase = choose(GRADED), noun_phrase(noun, determiner)
    grade = choose(grades_of(adjective))
    return Sentence(
        sentence(phrase.english, "is", grade.name, adjective.name),
        sentence(phrase.german["nom"], "ist", grade.german, adjective.german),
        f"{phrase.chinese}{graded(adjective, grade)}。",
        {(adjective.name, noun.english)},
    )


def taste(choose):
    """The soup is too salty. Die Suppe ist zu salzig. 那碗汤太咸了。"""
    noun, determiner = choose(DISHES), choose(("the", "this", "my"))
    unfit = (
        ("salty", "spicy")
        if noun.classes & {"drink"} or noun.english in ("fruit", "chocolate", "cake")
        else ()
    )
    adjective = choose(
        {
            name: adjective
            for name, adjective in ADJECTIVES.items()
            if "taste" in adjective.classes and name not in unfit
        }
    )
    grade, phrase = choose(GRADES), noun_phrase(noun, determiner)
    return Sentence(
        sentence(phrase.english, "is", grade.name, adjective.name),
        sentence(phrase.german["nom"], "ist", grade.german, adjective.german),
        f"{phrase.chinese}{graded(adjective, grade)}。",
        {(adjective.name, noun.english)},
    )


def comparison(choose):
    """This coat is more expensive than my coat. Dieser Mantel ist teurer als mein Mantel.
    这件大衣比我的大衣贵。"""
    noun, adjective, owner = (
        choose(THINGS),
        choose(GRADED),
        choose(("my", "your", "his", "her", "our", "their")),
    )
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
    adjective = choose(
        {name: adjective for name, adjective in ADJECTIVES.items() if "figure" in adjective.classes}
    )
    return Sentence(
        sentence(
            one.name, english_auxiliary(one, "be"), _comparative(adjective.name), "than", other.name
        ),
        sentence(one.german, german_sein(one), adjective.comparative, "als", other.german),
        f"{one.chinese}比{other.chinese}{adjective.chinese}。",
        {(one.name, other.name)},
    )


def _comparative(adjective):
    """Returns the English comparative: cheaper, bigger, heavier, more expensive."""
    if adjective in ("expensive", "beautiful", "practical", "careful"):
        return f"more {adjective}"
    if adjective == "big":
        return "bigger"
    return adjective[:-1] + "ier" if adjective.endswith("y") else adjective + "er"


def state(choose):
    """My mother is very tired. Meine Mutter ist sehr müde. 我妈妈很累。"""
    subject = choose_subject(choose)
    adjective = choose(
        {name: adjective for name, adjective in ADJECTIVES.items() if "state" in adjective.classes}
    )
    grade = choose(grades_of(adjective))
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
    subject, noun = choose_subject(choose), choose(nouns_of("child", "animal", "mine"))
    phrase = noun_phrase(noun, choose(range(2, 7)))
    return Sentence(
        sentence(subject.name, english_auxiliary(subject, "have"), phrase.english),
        sentence(subject.german, german_haben(subject), phrase.german["acc"]),
        f"{subject.chinese}有{phrase.chinese}。",
        {("have", noun.english)},
    )


def price(choose):
    """This hat costs thirty-five euros. Dieser Hut kostet fünfunddreißig Euro.
    这顶帽子要三十五欧元。"""
    noun, determiner, euros = choose(CHEAP), choose(("the", "this")), choose(range(2, 100))
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


def give(choose):
    """She gave her mother a flower. Sie hat ihrer Mutter eine Blume gegeben.
    她给了她妈妈一朵花。"""
    subject, giving = choose_subject(choose), choose(GIVING)
    receiver = noun_phrase(choose(LOVED_ONES), subject.own)
    noun = choose(LENT if giving.name == "lend" else SMALL)
    phrase = noun_phrase(noun, "a", attribute_of(choose, noun))
    return Sentence(
        sentence(subject.name, giving.past, receiver.english, phrase.english),
        sentence(
            subject.german,
            german_haben(subject),
            receiver.german["dat"],
            phrase.german["acc"],
            giving.german,
        ),
        f"{subject.chinese}{giving.chinese.replace('...', receiver.chinese)}{phrase.chinese}。",
        {(giving.name, noun.english)},
    )


def like(choose):
    """My uncle does not like the green hat. Der grüne Hut gefällt meinem Onkel nicht.
    我叔叔不喜欢那顶绿色的帽子。"""
    subject, noun, determiner = choose_subject(choose), choose(THINGS), choose(("the", "this"))
    phrase, negated = (
        noun_phrase(noun, determiner, attribute_of(choose, noun)),
        choose((True, False)),
    )
    does = (
        english_auxiliary(subject, "do") + " not like"
        if negated
        else "likes"
        if subject.person == "3"
        else "like"
    )
    return Sentence(
        sentence(subject.name, does, phrase.english),
        sentence(phrase.german["nom"], "gefällt", subject.dative, "nicht" if negated else ""),
        f"{subject.chinese}{'不' if negated else ''}喜欢{phrase.chinese}。",
        {("like", noun.english)},
    )


def order_drinks(choose):
    """I would like three cups of coffee, please. Ich hätte gern drei Tassen Kaffee.
    请给我三杯咖啡。"""
    container, number = choose(CONTAINERS), choose(range(1, 10))
    drink = choose({name: MASS[name] for name in DRINKS[container.name]})
    article = "ein" if container.german == "Glas" else "eine"
    english = (
        f"a {container.name}" if number == 1 else f"{english_number(number)} {container.plural}"
    )
    german = (
        f"{article} {container.german}"
        if number == 1
        else f"{german_number(number)} {container.german_plural}"
    )
    return Sentence(
        sentence("I would like", english, "of", drink.english + ",", "please"),
        sentence("ich hätte gern", german, drink.german),
        f"请给我{chinese_number(number, counting=True)}{container.chinese}{drink.chinese}。",
        {(container.name, drink.english)},
    )


def wears(choose):
    """Today Lisa is wearing a blue dress. Heute trägt Lisa ein blaues Kleid.
    丽莎今天穿着一条蓝色的连衣裙。"""
    subject, noun = choose(SINGULAR), choose(CLOTHES)
    phrase = noun_phrase(noun, "a", attribute_of(choose, noun))
    predicate = Predicate(german_form(subject.person, "trage", "trägt", "tragen"), "", "")
    worn = "戴" if noun.english in ("hat", "scarf") else "穿"
    return Sentence(
        sentence(
            "today", subject.name, english_auxiliary(subject, "be"), "wearing", phrase.english
        ),
        sentence(german_clause(subject.german, predicate, phrase.german["acc"], front="heute")),
        f"{subject.chinese}今天{worn}着{phrase.chinese}。",
        {("wear", noun.english)},
    )


def age(choose):
    """My grandfather is seventy-two years old. Mein Großvater ist zweiundsiebzig Jahre alt.
    我爷爷七十二岁。"""
    subject = choose_subject(choose)
    years = choose(range(60, 100) if "grand" in subject.name else range(18, 80))
    return Sentence(
        sentence(
            subject.name, english_auxiliary(subject, "be"), english_number(years), "years old"
        ),
        sentence(subject.german, german_sein(subject), german_number(years), "Jahre alt"),
        f"{subject.chinese}{chinese_number(years, counting=True)}岁。",
        {(subject.name, years)},
    )


def learns(choose):
    """I have been learning German for two years. Ich lerne seit zwei Jahren Deutsch.
    我学德语学了两年了。"""
    subject, language, years = choose_subject(choose), choose(LANGUAGES), choose(NUMBERS)
    predicate = Predicate(german_form(subject.person, "lerne", "lernt", "lernen"), "", "")
    has_been = f"{english_auxiliary(subject, 'have')} been learning"
    return Sentence(
        sentence(subject.name, has_been, language.name, "for", english_number(years), "years"),
        sentence(
            german_clause(
                subject.german, predicate, "seit", german_number(years), "Jahren", language.german
            )
        ),
        f"{subject.chinese}学{language.chinese}学了{chinese_number(years, counting=True)}年了。",
        {(subject.name, language.name)},
    )


def speaks(choose):
    """He speaks French and a little Russian. Er spricht Französisch und ein bisschen Russisch.
    他会说法语和一点儿俄语。"""
    subject, well = choose_subject(choose), choose(LANGUAGES)
    badly = choose({name: language for name, language in LANGUAGES.items() if name != well.name})
    return Sentence(
        sentence(
            subject.name,
            "speaks" if subject.person == "3" else "speak",
            well.name,
            "and a little",
            badly.name,
        ),
        sentence(
            subject.german,
            german_form(subject.person, "spreche", "spricht", "sprechen"),
            well.german,
            "und ein bisschen",
            badly.german,
        ),
        f"{subject.chinese}会说{well.chinese}和一点儿{badly.chinese}。",
        {(well.name, badly.name)},
    )


def pleasantry(choose):
    """Thank you very much. Vielen Dank. 非常感谢。"""
    words = choose(PLEASANTRIES)
    return Sentence(words.name, words.german, words.chinese, set())


PATTERNS = (
    property_of,
    taste,
    comparison,
    taller,
    state,
    has,
    has_no,
    has_number,
    price,
    how_much,
    give,
    like,
    order_drinks,
    wears,
    age,
    learns,
    speaks,
    pleasantry,
)
