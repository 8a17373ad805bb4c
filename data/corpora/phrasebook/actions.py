"""Sentence patterns around a verb and its object.

They cover tenses, negation, modal verbs, questions and requests. A pattern is a function of
`choose` and returns a `Sentence`. `choose(options)` picks an item of a sequence, or a value of a
dict. The docstring of a pattern is an example in the three languages.
"""

import collections

from data.corpora.phrasebook.grammar import (
    Action,
    Predicate,
    english_auxiliary,
    german_clause,
    german_haben,
    noun_phrase,
    person_subject,
    sentence,
)
from data.corpora.phrasebook.nouns import MASS, NOUNS
from data.corpora.phrasebook.words import (
    ADJECTIVES,
    FREQUENCIES,
    FUTURE_TIMES,
    MODALS,
    NAMES,
    OBJECTS,
    PAST_TIMES,
    PRONOUNS,
    VERBS,
)

# `combinations` are the pairs of words that decide whether a sentence is in training, validation or
# test.
Sentence = collections.namedtuple("Sentence", "english german chinese combinations")

SUBJECTS = {
    **PRONOUNS,
    **NAMES,
    **{
        f"my {name}": person_subject(noun, "my")
        for name, noun in NOUNS.items()
        if "kin" in noun.classes
    },
    **{
        f"the {name}": person_subject(noun, "the")
        for name, noun in NOUNS.items()
        if "person" in noun.classes and noun.gender != "n" and name not in ("boy", "friend")
    },
}
# Pronouns are repeated, so that they are about as frequent as all other subjects together.
SUBJECT_NAMES = (*SUBJECTS, *list(PRONOUNS) * 5)
VERBS_BY_USE = {
    use: {name: verb for name, verb in VERBS.items() if use in verb.uses} for use in "hnfpmi"
}
# Verbs of what one does on purpose, and may therefore ask about.
MEANT = {
    name: verb for name, verb in VERBS_BY_USE["p"].items() if name not in ("lose", "forget", "miss")
}
NUMBERS = range(2, 13)
# Two of three objects have no attribute.
ATTRIBUTES = {
    kind: [""] * 2 * len(names) + names
    for kind in ("thing", "person", "place")
    for names in [[name for name, adjective in ADJECTIVES.items() if kind in adjective.classes]]
}
COLORS = {name for name, adjective in ADJECTIVES.items() if adjective.chinese.endswith("色的")}
# Attributes that a noun cannot have. Things to read do not have colors either, since 黄色小说 means
# pornography.
UNFIT = {
    "child": ("young",),
    "boy": ("young",),
    "beach": ("modern",),
    "lake": ("modern",),
    "castle": ("modern",),
}


def choose_subject(choose):
    """Chooses a pronoun, a name, or a noun such as "my mother" or "the teacher"."""
    return SUBJECTS[choose(SUBJECT_NAMES)]


def attribute_of(choose, noun):
    """Chooses an adjective that fits a noun, or None."""
    kinds = {
        "thing": "thing",
        "furniture": "thing",
        "vehicle": "thing",
        "person": "person",
        "place": "place",
    }
    kind = next((kinds[name] for name in kinds if name in noun.classes), None)
    if not kind:
        return None
    unfit = UNFIT.get(noun.english, COLORS if "read" in noun.classes else ())
    return ADJECTIVES.get(choose([name for name in ATTRIBUTES[kind] if name not in unfit]))


def choose_action(choose, use, own, without="", verb=None, objects=None):
    """Chooses a verb and an object for it.

    Args:
        choose: picks one of its options.
        use: str, the use of the verb, one letter of "hnfpmi" (see words.py).
        own: str, the possessive of the subject, such as "her".
        without: str, the letters of determiners that do not fit the sentence (see words.py).
        verb: `Verb`, if it is chosen already.
        objects: {English: `Noun`}, the possible objects. By default all objects of the verb.

    Returns:
        An `Action`.
    """
    verb = verb or choose(VERBS_BY_USE[use])
    noun = choose(objects or OBJECTS[verb.name])
    options = _habitual(verb, noun, own) if use == "h" else _determiners(verb, noun, own, without)
    determiner = choose(options) if len(options) > 1 else options[0]
    number = determiner == "n"
    plural = number or (use == "h" and determiner == "" and noun.english not in MASS)
    adjective = None if number else attribute_of(choose, noun)
    phrase = noun_phrase(noun, choose(NUMBERS) if number else determiner, adjective, plural)
    return Action(verb, phrase, noun_phrase(noun, "no", adjective, plural))


def _determiners(verb, noun, own, without=""):
    if noun.english in MASS:
        return [""]
    if "kin" in noun.classes:
        return [own]
    if "transport" in noun.classes:
        return ["the"]
    without += "o" if "person" in noun.classes and "mine" not in noun.classes else ""
    letters = {"a": "a", "t": "the", "s": "this", "o": own, "n": "n"}
    return [letters[letter] for letter in verb.determiners.split() if letter not in without] or [
        "the"
    ]


def _habitual(verb, noun, own):
    """Returns the determiners for habits, which concern one's own things, or things of a kind."""
    options = _determiners(verb, noun, own)
    return (
        [own]
        if own in options and verb.name not in ("sell", "send", "sign")
        else options
        if options in ([""], ["the"])
        else [""]
    )


def habit(choose):
    """Anna often repairs her car. Anna repariert oft ihr Auto. 安娜经常修理她的汽车。"""
    subject = choose_subject(choose)
    action, how = choose_action(choose, "h", subject.own), choose(FREQUENCIES)
    return Sentence(
        sentence(subject.name, how.name, action.english_present(subject)),
        sentence(
            german_clause(
                subject.german, action.present(subject.person), how.german, action.german_object
            )
        ),
        f"{subject.chinese}{how.chinese}{action.chinese()}。",
        {action.combination},
    )


def now(choose):
    """I am reading a book right now. Ich lese gerade ein Buch. 我正在看一本书。"""
    subject = choose_subject(choose)
    action = choose_action(choose, "n", subject.own)
    return Sentence(
        sentence(
            subject.name, english_auxiliary(subject, "be"), action.english("ing"), "right now"
        ),
        sentence(
            german_clause(
                subject.german, action.present(subject.person), "gerade", action.german_object
            )
        ),
        f"{subject.chinese}正在{action.chinese()}。",
        {action.combination},
    )


def plan(choose):
    """Tomorrow Paul will invite his aunt. Morgen lädt Paul seine Tante ein.
    明天保罗要邀请他姑姑。"""
    subject = choose_subject(choose)
    action, time, first = (
        choose_action(choose, "f", subject.own),
        choose(FUTURE_TIMES),
        choose((True, False)),
    )
    german, will = action.present(subject.person), "会" if action.verb.name == "need" else "要"
    if first:
        return Sentence(
            sentence(time.name, subject.name, "will", action.english()),
            sentence(
                german_clause(subject.german, german, action.german_object, front=time.german)
            ),
            f"{time.chinese}{subject.chinese}{will}{action.chinese()}。",
            {action.combination},
        )
    return Sentence(
        sentence(subject.name, "will", action.english(), time.name),
        sentence(german_clause(subject.german, german, time.german, action.german_object)),
        f"{subject.chinese}{time.chinese}{will}{action.chinese()}。",
        {action.combination},
    )


def past(choose):
    """Yesterday she lost her key. Gestern hat sie ihren Schlüssel verloren.
    昨天她弄丢了她的钥匙。"""
    subject = choose_subject(choose)
    action, time, first = (
        choose_action(choose, "p", subject.own),
        choose(PAST_TIMES),
        choose((True, False)),
    )
    german = action.perfect(subject)
    if first:
        return Sentence(
            sentence(time.name, subject.name, action.english("past")),
            sentence(
                german_clause(subject.german, german, action.german_object, front=time.german)
            ),
            f"{time.chinese}{subject.chinese}{action.chinese('了')}。",
            {action.combination},
        )
    return Sentence(
        sentence(subject.name, action.english("past"), time.name),
        sentence(german_clause(subject.german, german, time.german, action.german_object)),
        f"{subject.chinese}{time.chinese}{action.chinese('了')}。",
        {action.combination},
    )


def not_past(choose):
    """We did not buy a coat. Wir haben keinen Mantel gekauft. 我们没买大衣。"""
    subject = choose_subject(choose)
    action = choose_action(choose, "p", subject.own, without="n")
    return Sentence(
        sentence(subject.name, "did not", action.english()),
        sentence(german_clause(subject.german, action.perfect(subject), action.german_negated)),
        f"{subject.chinese}没{action.chinese(negated=True)}。",
        {action.combination},
    )


def not_present(choose):
    """He does not eat meat. Er isst kein Fleisch. 他不吃肉。"""
    subject = choose_subject(choose)
    verb = choose({name: verb for name, verb in VERBS_BY_USE["h"].items() if name != "forget"})
    action = choose_action(choose, "h", subject.own, verb=verb)
    return Sentence(
        sentence(subject.name, english_auxiliary(subject, "do"), "not", action.english()),
        sentence(
            german_clause(subject.german, action.present(subject.person), action.german_negated)
        ),
        f"{subject.chinese}不{action.chinese(negated=True)}。",
        {action.combination},
    )


def already(choose):
    """They have already opened the window. Sie haben das Fenster schon aufgemacht.
    他们已经打开了那扇窗户。"""
    subject = choose_subject(choose)
    action = choose_action(choose, "p", subject.own, without="an", verb=choose(MEANT))
    adverb = (
        (action.german_object, "schon")
        if action.object.definite
        else ("schon", action.german_object)
    )
    return Sentence(
        sentence(
            subject.name,
            english_auxiliary(subject, "have"),
            "already",
            action.english("participle"),
        ),
        sentence(german_clause(subject.german, action.perfect(subject), *adverb)),
        f"{subject.chinese}已经{action.chinese('了')}。",
        {action.combination},
    )


def not_yet(choose):
    """I have not read the letter yet. Ich habe den Brief noch nicht gelesen. 我还没看那封信。"""
    subject = choose_subject(choose)
    action = choose_action(choose, "p", subject.own, without="an", verb=choose(MEANT))
    if action.object.definite:
        german = (action.german_object, "noch nicht")
    else:
        german = ("noch", action.german_negated)
    return Sentence(
        sentence(
            subject.name,
            english_auxiliary(subject, "have"),
            "not",
            action.english("participle"),
            "yet",
        ),
        sentence(german_clause(subject.german, action.perfect(subject), *german)),
        f"{subject.chinese}还没{action.chinese(negated=True)}。",
        {action.combination},
    )


def english_modal(subject, modal):
    """Returns a modal verb for a subject: ("we", "has to") -> "have to"."""
    if subject.person != "3":
        modal = {"has to": "have to", "wants to": "want to"}.get(modal, modal)
    return modal


def modal_sentence(choose):
    """Maria has to pick up her father tomorrow. Maria muss morgen ihren Vater abholen.
    玛丽亚明天得接她爸爸。"""
    subject, modal = choose_subject(choose), choose(MODALS)
    action = choose_action(choose, "m", subject.own)
    time = FUTURE_TIMES.get(choose(("",) * len(FUTURE_TIMES) + tuple(FUTURE_TIMES)))
    english, german, chinese = time or ("", "", "")
    return Sentence(
        sentence(subject.name, english_modal(subject, modal.name), action.english(), english),
        sentence(
            german_clause(
                subject.german,
                action.modal(modal.name, subject.person),
                german,
                action.german_object,
            )
        ),
        f"{subject.chinese}{chinese}{modal.chinese}{action.chinese()}。",
        {action.combination},
    )


def not_modal(choose):
    """You do not have to wait for the bus. Sie müssen nicht auf den Bus warten.
    您不用等公共汽车。"""
    subject = choose_subject(choose)
    do_not = f"{english_auxiliary(subject, 'do')} not"
    english, modal, chinese = choose(
        {
            "cannot": ("cannot", "can", "不能"),
            "not have to": (f"{do_not} have to", "has to", "不用"),
            "not want to": (f"{do_not} want to", "wants to", "不想"),
            "should not": ("should not", "should", "不应该"),
        }
    )
    verb = choose(
        {name: verb for name, verb in VERBS_BY_USE["m"].items() if name != "find" or modal == "can"}
    )
    action = choose_action(choose, "m", subject.own, without="n", verb=verb)
    done = f"{chinese}{action.chinese(negated=True)}".replace("不能找到", "找不到")
    return Sentence(
        sentence(subject.name, english, action.english()),
        sentence(
            german_clause(
                subject.german, action.modal(modal, subject.person), action.german_negated
            )
        ),
        f"{subject.chinese}{done}。",
        {action.combination},
    )


def did(choose):
    """Did Peter sell his bicycle? Hat Peter sein Fahrrad verkauft? 彼得卖了他的自行车吗？"""
    subject = choose_subject(choose)
    action = choose_action(choose, "p", subject.own)
    return Sentence(
        sentence("did", subject.name, action.english(), end="?"),
        sentence(
            german_clause(
                subject.german, action.perfect(subject), action.german_object, order="first"
            ),
            end="?",
        ),
        f"{subject.chinese}{action.chinese('了')}吗？",
        {action.combination},
    )


def can_you(choose):
    """Can you repair this lamp? Können Sie diese Lampe reparieren? 您能修理这盏灯吗？"""
    subject, modal = (
        choose_subject(choose),
        choose({"can": MODALS["can"], "should": MODALS["should"]}),
    )
    action = choose_action(choose, "m", subject.own)
    german = german_clause(
        subject.german,
        action.modal(modal.name, subject.person),
        action.german_object,
        order="first",
    )
    return Sentence(
        sentence(modal.name, subject.name, action.english(), end="?"),
        sentence(german, end="?"),
        f"{subject.chinese}{modal.chinese}{action.chinese()}吗？",
        {action.combination},
    )


def when_will(choose):
    """When will you visit your grandmother? Wann besuchen Sie Ihre Großmutter?
    您什么时候看望您奶奶？"""
    subject = choose_subject(choose)
    action = choose_action(choose, "f", subject.own)
    german = german_clause(
        subject.german, action.present(subject.person), action.german_object, order="first"
    )
    return Sentence(
        sentence("when will", subject.name, action.english(), end="?"),
        sentence("wann", german, end="?"),
        f"{subject.chinese}什么时候{action.chinese()}？",
        {action.combination},
    )


def why_not(choose):
    """Why did he not sign the contract? Warum hat er den Vertrag nicht unterschrieben?
    他为什么没签那份合同？"""
    subject = choose_subject(choose)
    action = choose_action(choose, "p", subject.own, without="n", verb=choose(MEANT))
    german = german_clause(
        subject.german, action.perfect(subject), action.german_negated, order="first"
    )
    return Sentence(
        sentence("why did", subject.name, "not", action.english(), end="?"),
        sentence("warum", german, end="?"),
        f"{subject.chinese}为什么没{action.chinese(negated=True)}？",
        {action.combination},
    )


def who(choose):
    """Who turned off the radio? Wer hat das Radio ausgeschaltet? 谁关掉了那台收音机？"""
    action = choose_action(choose, "p", "my")
    return Sentence(
        sentence("who", action.english("past"), end="?"),
        sentence(
            german_clause(
                "wer", Predicate("hat", "", action.verb.participle), action.german_object
            ),
            end="?",
        ),
        f"谁{action.chinese('了')}？",
        {action.combination},
    )


def where_can(choose):
    """Where can I rent a bicycle? Wo kann ich ein Fahrrad mieten? 我在哪里可以租一辆自行车？"""
    subject = choose({name: SUBJECTS[name] for name in ("I", "we")})
    verb = choose(
        {
            name: VERBS[name]
            for name in ("buy", "rent", "borrow", "wash", "copy", "print out", "return")
        }
    )
    action = choose_action(choose, "m", subject.own, verb=verb)
    german = german_clause(
        subject.german, action.modal("can", subject.person), action.german_object, order="first"
    )
    return Sentence(
        sentence("where can", subject.name, action.english(), end="?"),
        sentence("wo", german, end="?"),
        f"{subject.chinese}在哪里可以{action.chinese()}？",
        {action.combination},
    )


def imperative(choose):
    """Please turn on the lamp! Schalten Sie bitte die Lampe ein! 请打开那盏灯！"""
    action = choose_action(choose, "i", "your")
    german = german_clause("Sie", action.present("p"), "bitte", action.german_object, order="first")
    return Sentence(
        sentence("please", action.english(), end="!"),
        sentence(german, end="!"),
        f"请{action.chinese()}！",
        {action.combination},
    )


def prohibition(choose):
    """Please do not open the window! Machen Sie bitte das Fenster nicht auf!
    请不要打开那扇窗户！"""
    action = choose_action(choose, "i", "your", without="an")
    german = german_clause(
        "Sie", action.present("p"), "bitte", action.german_negated, order="first"
    )
    return Sentence(
        sentence("please do not", action.english(), end="!"),
        sentence(german, end="!"),
        f"请不要{action.chinese(negated=True)}！",
        {action.combination},
    )


def let_us(choose):
    """Let's visit the museum tomorrow. Besichtigen wir morgen das Museum. 我们明天参观博物馆吧。"""
    time = choose(FUTURE_TIMES)
    action = choose_action(
        choose,
        "i",
        "our",
        verb=choose(VERBS_BY_USE["i"] | {"visit (place)": VERBS["visit (place)"]}),
    )
    return Sentence(
        sentence("let's", action.english(), time.name),
        sentence(
            german_clause(
                "wir", action.present("p"), time.german, action.german_object, order="first"
            )
        ),
        f"我们{time.chinese}{action.chinese()}吧。",
        {action.combination},
    )


def two_objects(choose):
    """She bought two apples and a cake. Sie hat zwei Äpfel und einen Kuchen gekauft.
    她买了两个苹果和一个蛋糕。"""
    subject, verb = (
        choose_subject(choose),
        choose({name: VERBS[name] for name in ("buy", "order", "see", "draw", "need")}),
    )
    one = choose_action(choose, "p", subject.own, without="tso", verb=verb)
    others = {name: noun for name, noun in OBJECTS[verb.name].items() if name != one.object.name}
    two = choose_action(choose, "p", subject.own, without="tso", verb=verb, objects=others)
    present = verb.name == "need"
    english = one.english_present(subject) if present else one.english("past")
    german = one.present(subject.person) if present else one.perfect(subject)
    return Sentence(
        sentence(subject.name, english, "and", two.object.english),
        sentence(
            german_clause(subject.german, german, one.german_object, "und", two.german_object)
        ),
        f"{subject.chinese}{one.chinese('' if present else '了')}和{two.object.chinese}。",
        {one.combination, two.combination},
    )


def how_many(choose):
    """How many apples did Anna eat? Wie viele Äpfel hat Anna gegessen? 安娜吃了多少个苹果？"""
    subject = choose_subject(choose)
    verb = choose(
        {
            name: VERBS[name]
            for name in ("eat", "buy", "order", "see", "draw", "write", "borrow", "send")
        }
    )
    noun = choose({name: noun for name, noun in OBJECTS[verb.name].items() if name in NOUNS})
    objects = noun_phrase(noun, plural=True)
    german = german_clause(
        subject.german, Predicate(german_haben(subject), "", verb.participle), order="first"
    )
    return Sentence(
        sentence("how many", objects.english, "did", subject.name, verb.name, end="?"),
        sentence("wie viele", objects.german["acc"], german, end="?"),
        f"{subject.chinese}{verb.chinese}了多少{noun.measure}{noun.chinese}？",
        {(verb.name, noun.english)},
    )


PATTERNS = (
    habit,
    now,
    plan,
    past,
    not_past,
    not_present,
    already,
    not_yet,
    modal_sentence,
    not_modal,
    did,
    can_you,
    when_will,
    why_not,
    who,
    where_can,
    imperative,
    prohibition,
    let_us,
    two_objects,
    how_many,
)
