"""The grammar of the phrasebook: noun phrases, verbs and clauses in English, German and Chinese.

German nouns are declined by gender, case and determiner, and German verbs stand second, first or
last. Chinese counts with measure words, marks aspect on the verb, and puts time and place before
it.
"""

import collections
import dataclasses

from data.corpora.phrasebook.nouns import MASS
from data.corpora.phrasebook.words import (
    ADJECTIVES,
    ENGLISH_FORMS,
    GERMAN_ICH,
    GERMAN_OBJECT,
    GRADES,
    MODALS,
    POSSESSIVES,
    PRONOUNS,
    Subject,
)

CASES = ("nom", "acc", "dat")
# Endings for the genders m, f and n, and for the plural. `_EIN` is for ein, kein, and possessives
# such as mein.
_STRONG = {"nom": "er e es e", "acc": "en e es e", "dat": "em er em en"}
_EIN = {"nom": " e  e", "acc": "en e  e", "dat": "em er em en"}
_WEAK = {"nom": "e e e en", "acc": "en e e en", "dat": "en en en en"}
_MIXED = {"nom": "er e es en", "acc": "en e es en", "dat": "en en en en"}
_ARTICLE = {"nom": "der die das die", "acc": "den die das die", "dat": "dem der dem den"}
_CONTRACTED = {
    "in dem": "im",
    "an dem": "am",
    "von dem": "vom",
    "zu dem": "zum",
    "zu der": "zur",
    "bei dem": "beim",
    "in das": "ins",
}
_ENGLISH_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen "
    "sixteen seventeen "
    "eighteen nineteen"
).split()
_ENGLISH_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_GERMAN_ONES = (
    "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn "
    "fünfzehn sechzehn siebzehn "
    "achtzehn neunzehn"
).split()
_GERMAN_TENS = "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split()
_CHINESE_DIGITS = "零一二三四五六七八九"


def english_number(n):
    """Spells a number from 0 to 99: 21 -> "twenty-one"."""
    if n < 20:
        return _ENGLISH_ONES[n]
    return _ENGLISH_TENS[n // 10 - 2] + (f"-{_ENGLISH_ONES[n % 10]}" if n % 10 else "")


def german_number(n):
    """Spells a number from 0 to 99: 21 -> "einundzwanzig"."""
    if n < 20:
        return _GERMAN_ONES[n]
    ones = {0: "", 1: "einund"}.get(n % 10, f"{_GERMAN_ONES[n % 10]}und")
    return ones + _GERMAN_TENS[n // 10 - 2]


def chinese_number(n, counting=False):
    """Spells a number from 0 to 99: 21 -> "二十一".

    Args:
        n: int.
        counting: bool, whether a measure word follows. Before it, two is 两.

    Returns:
        A str.
    """
    if n < 10:
        return "两" if counting and n == 2 else _CHINESE_DIGITS[n]
    return (
        (_CHINESE_DIGITS[n // 10] if n >= 20 else "")
        + "十"
        + (_CHINESE_DIGITS[n % 10] if n % 10 else "")
    )


def contract(text):
    """Contracts a preposition and an article at the start: "zu dem Markt" -> "zum Markt"."""
    first_two = " ".join(text.split()[:2])
    return _CONTRACTED[first_two] + text[len(first_two) :] if first_two in _CONTRACTED else text


def sentence(*words, end="."):
    """Joins words, of which some may be empty, to a sentence with a capital."""
    text = " ".join(word for word in words if word).replace(" ,", ",")
    return text[0].upper() + text[1:] + end


# A noun phrase. `german` maps cases to phrases, `name` is the key of the noun, and `definite` says
# whether the determiner is "the", "this" or a possessive such as "my".
Phrase = collections.namedtuple("Phrase", "name english german chinese definite")


def noun_phrase(noun, determiner="", adjective=None, plural=False):
    """Puts a noun into a phrase.

    Args:
        noun: `Noun`.
        determiner: "the", "this", "a", "no", a possessive such as "my", or an int. "" gives a noun
            alone.
        adjective: `Adjective`, an attribute, or None.
        plural: bool, whether the noun is in the plural. A number above 1 implies it.

    Returns:
        A `Phrase`.
    """
    plural = plural or (isinstance(determiner, int) and determiner > 1)
    return Phrase(
        noun.english,
        _english_noun(noun, determiner, adjective, plural),
        {case: _german_noun(noun, determiner, adjective, plural, case) for case in CASES},
        _chinese_noun(noun, determiner, adjective, plural),
        determiner in ("the", "this") or determiner in POSSESSIVES,
    )


def _english_noun(noun, determiner, adjective, plural):
    words = [adjective.name] if adjective else []
    words.append(noun.plural if plural else noun.english)
    if isinstance(determiner, int):
        determiner = english_number(determiner)
    if determiner == "this" and plural:
        determiner = "these"
    if determiner == "a" and words[0][0] in "aeiou" and not words[0].startswith("uni"):
        determiner = "an"
    return " ".join([determiner, *words] if determiner else words)


def _german_noun(noun, determiner, adjective, plural, case):
    gender = "p" if plural else {"w": "m"}.get(noun.gender, noun.gender)

    def form(table):
        return table[case].split(" ")["mfnp".index(gender)]

    if determiner in ("the", "this"):
        article, endings = form(_ARTICLE) if determiner == "the" else "dies" + form(_STRONG), _WEAK
    elif determiner == "" or isinstance(determiner, int):
        article, endings = german_number(determiner) if determiner else "", _STRONG
    else:
        stem = {"a": "ein", "no": "kein"}.get(determiner) or POSSESSIVES[determiner].german
        article, endings = stem + form(_EIN), _MIXED
    attribute = ""
    if adjective:
        attribute = ("teur" if adjective.german == "teuer" else adjective.german) + form(endings)
    word = noun.german_plural if plural or (noun.gender == "w" and case != "nom") else noun.german
    if plural and case == "dat" and word[-1] not in "ns":
        word += "n"
    return " ".join(part for part in (article, attribute, word) if part)


def _chinese_noun(noun, determiner, adjective, plural):
    attribute = adjective.chinese if adjective else ""
    # Avoids a doubled character, as in 大大衣 or 小小说.
    if attribute and noun.chinese.startswith(attribute):
        attribute = f"很{attribute}的"
    core = attribute + noun.chinese
    if determiner in ("", "no"):
        return core
    if isinstance(determiner, int):
        return chinese_number(determiner, counting=True) + noun.measure + core
    if determiner in POSSESSIVES:
        return _chinese_possession(POSSESSIVES[determiner].chinese, noun, attribute)
    if (
        determiner == "the"
        and not attribute
        and not plural
        and (noun.english in MASS or noun.classes & _KNOWN)
    ):
        return core
    measure = "些" if plural else noun.measure
    return {"a": "一", "the": "那", "this": "这"}[determiner] + measure + core


# Nouns of these classes are known to both speakers, and need no 那.
_KNOWN = {"role", "place", "transport"}


def _chinese_possession(owner, noun, attribute):
    """Joins owner and noun: 我妈妈, 我的书, 我的红色大衣, 我漂亮的裙子. One 的 is enough."""
    if attribute.endswith("色的"):
        return f"{owner}的{attribute[:-1]}{noun.chinese}"
    if attribute.endswith("的") or (not attribute and "kin" in noun.classes):
        return owner + attribute + noun.chinese
    return f"{owner}的{attribute}{noun.chinese}"


GRADED = {name: adjective for name, adjective in ADJECTIVES.items() if "grade" in adjective.classes}


def grades_of(adjective):
    """Returns the grades that an adjective can have.

    A good property only takes "very" and "not": neither 太满意了 nor 有点儿漂亮 is said.
    """
    return (
        {name: GRADES[name] for name in ("very", "not")} if "good" in adjective.classes else GRADES
    )


def graded(adjective, grade):
    """Returns a Chinese predicate: 很贵, 太贵了, 不贵, 有点儿贵."""
    word = {"昂贵的": "贵"}.get(adjective.chinese, adjective.chinese.removesuffix("的"))
    return f"{grade.chinese}{word}{'了' if grade.name == 'too' else ''}"


def person_subject(noun, determiner):
    """Returns a noun as the subject of a clause: "my mother", "the teacher"."""
    phrase = noun_phrase(noun, determiner)
    own = "her" if noun.gender == "f" else "his"
    return Subject(
        phrase.english,
        *phrase.german.values(),
        phrase.chinese,
        "3",
        own,
        "she" if own == "her" else "he",
    )


def pronoun_of(subject):
    """Returns the pronoun for a subject that was mentioned: Anna -> she."""
    return PRONOUNS[subject.pronoun]


def english_verb(name, form):
    """Inflects a verb, and keeps the words after it: ("turn on", "past") -> "turned on".

    Args:
        name: str, the key of the verb.
        form: str, "base", "third", "past", "participle" or "ing".

    Returns:
        A str.
    """
    name = name.partition(" (")[0]
    verb, _, rest = name.partition(" ")
    if form != "base":
        regular = _regular_forms(verb)
        verb = dict(zip(("third", "past", "participle", "ing"), ENGLISH_FORMS.get(verb, regular)))[
            form
        ]
    return f"{verb} {rest}".strip()


def _regular_forms(verb):
    past = verb + ("d" if verb.endswith("e") else "ed")
    third = verb + ("es" if verb.endswith(("sh", "ss", "ch", "x")) else "s")
    return third, past, past, verb.removesuffix("e") + "ing"


def english_present(subject, name):
    """Returns a verb in the present: ("he", "buy") -> "buys"."""
    return english_verb(name, "third" if subject.person == "3" else "base")


def english_auxiliary(subject, verb):
    """Returns the form of be, have or do for a subject."""
    forms = {
        "be": ("am", "is", "are"),
        "have": ("have", "has", "have"),
        "do": ("do", "does", "do"),
    }[verb]
    return forms["13p".index(subject.person)]


def german_form(person, ich, er, plural):
    """Returns the form of a German verb for the person "1", "3" or "p"."""
    return {"1": ich, "3": er, "p": plural}[person]


def german_sein(subject):
    """Returns bin, ist or sind."""
    return german_form(subject.person, "bin", "ist", "sind")


def german_haben(subject):
    """Returns habe, hat or haben."""
    return german_form(subject.person, "habe", "hat", "haben")


# A German predicate: its finite verb, its separable prefix, and what closes the clause.
Predicate = collections.namedtuple("Predicate", "finite prefix closing")


def german_clause(subject, predicate, *middle, order="second", front=""):
    """Returns a German clause.

    Args:
        subject: str, the subject in the nominative.
        predicate: `Predicate`.
        *middle: str, what stands between the verb and the closing words, in order.
        order: str, the place of the verb. "second" in a main clause, "first" in a question, "last"
            in a subordinate clause.
        front: str, what precedes the verb in a main clause instead of the subject.

    Returns:
        A str.
    """
    finite, prefix, closing = predicate
    if order == "last":
        words = [subject, *middle, closing, prefix + finite]
    elif order == "first":
        words = [finite, subject, *middle, closing, prefix]
    else:
        head = [front, finite, subject] if front else [subject, finite]
        words = [*head, *middle, closing, prefix]
    return " ".join(word for word in words if word)


@dataclasses.dataclass(frozen=True)
class Action:
    """A verb and its object.

    Attributes:
        verb: `Verb`.
        object: `Phrase`.
        negative: `Phrase`, the object as it is after kein.
    """

    verb: object
    object: Phrase
    negative: Phrase

    @property
    def combination(self):
        """The words that must not occur together in training if they do in the test."""
        return self.verb.name, self.object.name

    def english(self, form="base"):
        """Returns the English verb and its object: "past" -> "turned on the lamp"."""
        return f"{english_verb(self.verb.name, form)} {self.object.english}"

    def english_present(self, subject):
        """Returns the English verb in the present and its object: he -> "buys a coat"."""
        return f"{english_present(subject, self.verb.name)} {self.object.english}"

    @property
    def infinitive(self):
        """The German infinitive: "anrufen"."""
        return self.verb.german.replace("|", "")

    @property
    def zu_infinitive(self):
        """The German infinitive with zu: "anzurufen", "zu kaufen"."""
        prefix, _, stem = self.verb.german.rpartition("|")
        return f"{prefix}zu{stem}" if prefix else f"zu {stem}"

    def present(self, person):
        """Returns the German `Predicate` in the present."""
        prefix, _, stem = self.verb.german.rpartition("|")
        ich = GERMAN_ICH.get(stem, stem[:-1])
        return Predicate(german_form(person, ich, self.verb.third, stem), prefix, "")

    def perfect(self, subject):
        """Returns the German `Predicate` in the perfect."""
        return Predicate(german_haben(subject), "", self.verb.participle)

    def modal(self, modal, person):
        """Returns the German `Predicate` with a modal verb."""
        modal = MODALS[modal]
        return Predicate(
            german_form(person, modal.german, modal.german, modal.plural), "", self.infinitive
        )

    @property
    def german_object(self):
        """The German object: "den Mantel", "dem Lehrer", "auf den Bus"."""
        preposition, case = GERMAN_OBJECT.get(self.verb.name, ("", "acc"))
        return f"{preposition} {self.object.german[case]}".strip()

    @property
    def german_negated(self):
        """The negated German object: "den Mantel nicht", "keinen Mantel", "nicht auf den Bus"."""
        preposition, case = GERMAN_OBJECT.get(self.verb.name, ("", "acc"))
        if preposition:
            return f"nicht {self.german_object}"
        return f"{self.german_object} nicht" if self.object.definite else self.negative.german[case]

    def chinese(self, aspect="", negated=False):
        """Returns the Chinese verb and its object: 买了那件大衣, 给我妈妈打了电话.

        Args:
            aspect: str, such as 了, put after the verb.
            negated: bool, whether the object is that of a negated sentence.

        Returns:
            A str.
        """
        phrase = self.negative if negated and not self.object.definite else self.object
        verb = self.verb.chinese
        # One wears clothes with 穿, but accessories with 戴.
        if self.object.name in ("hat", "scarf"):
            verb = verb.replace("穿", "戴")
        head, place, tail = verb.partition("...")
        if place:
            return f"{head}{phrase.chinese}{tail[0]}{aspect}{tail[1:]}"
        return f"{verb}{aspect}{phrase.chinese}"
