"""The phrasebook's grammar against pairs written by hand, and what a drawn corpus owes its user."""

import pytest

from data.config import DataError
from data.corpora.phrasebook import PATTERNS, phrasebook, places, sentences, split_of
from data.corpora.phrasebook.grammar import (
    CASES,
    chinese_number,
    contract,
    english_number,
    english_verb,
    german_number,
    noun_phrase,
)
from data.corpora.phrasebook.nouns import NOUNS
from data.corpora.phrasebook.words import ADJECTIVES, VERBS, entries
from data.corpora.registry import CORPORA

# Pattern, what it is to choose, English, German, Chinese. The first 63, one a pattern, are the
# patterns' docstrings.
WRITTEN_BY_HAND = [
    (
        "habit",
        ["Anna", "repair", "car", "", "often"],
        "Anna often repairs her car.",
        "Anna repariert oft ihr Auto.",
        "安娜经常修理她的汽车。",
    ),
    (
        "now",
        ["I", "read", "book", "a", ""],
        "I am reading a book right now.",
        "Ich lese gerade ein Buch.",
        "我正在看一本书。",
    ),
    (
        "plan",
        ["Paul", "invite", "aunt", "tomorrow", True],
        "Tomorrow Paul will invite his aunt.",
        "Morgen lädt Paul seine Tante ein.",
        "明天保罗要邀请他姑姑。",
    ),
    (
        "past",
        ["she", "lose", "key", "her", "yesterday", True],
        "Yesterday she lost her key.",
        "Gestern hat sie ihren Schlüssel verloren.",
        "昨天她弄丢了她的钥匙。",
    ),
    (
        "not_past",
        ["we", "buy", "coat", "a", ""],
        "We did not buy a coat.",
        "Wir haben keinen Mantel gekauft.",
        "我们没买大衣。",
    ),
    (
        "not_present",
        ["he", "eat", "meat"],
        "He does not eat meat.",
        "Er isst kein Fleisch.",
        "他不吃肉。",
    ),
    (
        "already",
        ["they", "open", "window", "the"],
        "They have already opened the window.",
        "Sie haben das Fenster schon aufgemacht.",
        "他们已经打开了那扇窗户。",
    ),
    (
        "not_yet",
        ["I", "read", "letter", "the"],
        "I have not read the letter yet.",
        "Ich habe den Brief noch nicht gelesen.",
        "我还没看那封信。",
    ),
    (
        "modal_sentence",
        ["Maria", "has to", "pick up", "father", "tomorrow"],
        "Maria has to pick up her father tomorrow.",
        "Maria muss morgen ihren Vater abholen.",
        "玛丽亚明天得接她爸爸。",
    ),
    (
        "not_modal",
        ["you", "not have to", "wait for", "bus"],
        "You do not have to wait for the bus.",
        "Sie müssen nicht auf den Bus warten.",
        "您不用等公共汽车。",
    ),
    (
        "did",
        ["Peter", "sell", "bicycle", "his", ""],
        "Did Peter sell his bicycle?",
        "Hat Peter sein Fahrrad verkauft?",
        "彼得卖了他的自行车吗？",
    ),
    (
        "can_you",
        ["you", "can", "repair", "lamp", "this", ""],
        "Can you repair this lamp?",
        "Können Sie diese Lampe reparieren?",
        "您能修理这盏灯吗？",
    ),
    (
        "when_will",
        ["you", "visit", "grandmother"],
        "When will you visit your grandmother?",
        "Wann besuchen Sie Ihre Großmutter?",
        "您什么时候看望您奶奶？",
    ),
    (
        "why_not",
        ["he", "sign", "contract", "the"],
        "Why did he not sign the contract?",
        "Warum hat er den Vertrag nicht unterschrieben?",
        "他为什么没签那份合同？",
    ),
    (
        "who",
        ["turn off", "radio", "the", ""],
        "Who turned off the radio?",
        "Wer hat das Radio ausgeschaltet?",
        "谁关掉了那台收音机？",
    ),
    (
        "where_can",
        ["I", "rent", "bicycle", "a", ""],
        "Where can I rent a bicycle?",
        "Wo kann ich ein Fahrrad mieten?",
        "我在哪里可以租一辆自行车？",
    ),
    (
        "because",
        ["Lisa", "happy", "find", "ring", "her", ""],
        "Lisa is happy because she found her ring.",
        "Lisa ist glücklich, weil sie ihren Ring gefunden hat.",
        "丽莎很开心，因为她找到了她的戒指。",
    ),
    (
        "although",
        ["cold", "he", "wash", "car", "his", ""],
        "Although it was cold, he washed his car.",
        "Obwohl es kalt war, hat er sein Auto gewaschen.",
        "虽然很冷，他还是洗了他的汽车。",
    ),
    (
        "that",
        ["he", "think", "Anna", "should", "sell", "car", "her", ""],
        "He thinks that Anna should sell her car.",
        "Er glaubt, dass Anna ihr Auto verkaufen sollte.",
        "他觉得安娜应该卖她的汽车。",
    ),
    (
        "whether",
        ["he", "find", "key", "his"],
        "I do not know whether he found his key.",
        "Ich weiß nicht, ob er seinen Schlüssel gefunden hat.",
        "我不知道他有没有找到他的钥匙。",
    ),
    (
        "if_weather",
        ["it is raining", "tomorrow", "we", "read", "book", "a", ""],
        "If it rains tomorrow, we will read a book.",
        "Wenn es morgen regnet, lesen wir ein Buch.",
        "如果明天下雨，我们就看一本书。",
    ),
    (
        "relative",
        ["buy", "coat", "Anna", "yesterday", "expensive", "too"],
        "The coat that Anna bought yesterday is too expensive.",
        "Der Mantel, den Anna gestern gekauft hat, ist zu teuer.",
        "安娜昨天买的那件大衣太贵了。",
    ),
    (
        "purpose",
        ["he", "buy", "market", "egg", "n", 2],
        "He is going to the market to buy two eggs.",
        "Er geht zum Markt, um zwei Eier zu kaufen.",
        "他去市场买两个鸡蛋。",
    ),
    (
        "imperative",
        ["turn on", "lamp", "the", ""],
        "Please turn on the lamp!",
        "Schalten Sie bitte die Lampe ein!",
        "请打开那盏灯！",
    ),
    (
        "prohibition",
        ["open", "window", "the"],
        "Please do not open the window!",
        "Machen Sie bitte das Fenster nicht auf!",
        "请不要打开那扇窗户！",
    ),
    (
        "let_us",
        ["tomorrow", "visit (place)", "museum", "the", ""],
        "Let's visit the museum tomorrow.",
        "Besichtigen wir morgen das Museum.",
        "我们明天参观博物馆吧。",
    ),
    (
        "two_objects",
        ["she", "buy", "apple", "n", 2, "cake", "a"],
        "She bought two apples and a cake.",
        "Sie hat zwei Äpfel und einen Kuchen gekauft.",
        "她买了两个苹果和一个蛋糕。",
    ),
    (
        "how_many",
        ["Anna", "eat", "apple"],
        "How many apples did Anna eat?",
        "Wie viele Äpfel hat Anna gegessen?",
        "安娜吃了多少个苹果？",
    ),
    (
        "property_of",
        ["coat", "the", "expensive", "too"],
        "The coat is too expensive.",
        "Der Mantel ist zu teuer.",
        "那件大衣太贵了。",
    ),
    (
        "taste",
        ["soup", "the", "salty", "too"],
        "The soup is too salty.",
        "Die Suppe ist zu salzig.",
        "那碗汤太咸了。",
    ),
    (
        "comparison",
        ["coat", "expensive", "my"],
        "This coat is more expensive than my coat.",
        "Dieser Mantel ist teurer als mein Mantel.",
        "这件大衣比我的大衣贵。",
    ),
    (
        "taller",
        ["Anna", "Paul", "tall"],
        "Anna is taller than Paul.",
        "Anna ist größer als Paul.",
        "安娜比保罗高。",
    ),
    (
        "state",
        ["my mother", "tired", "very"],
        "My mother is very tired.",
        "Meine Mutter ist sehr müde.",
        "我妈妈很累。",
    ),
    (
        "has",
        ["Paul", "suitcase", "new"],
        "Paul has a new suitcase.",
        "Paul hat einen neuen Koffer.",
        "保罗有一个新行李箱。",
    ),
    (
        "has_no",
        ["I", "umbrella"],
        "I have no umbrella.",
        "Ich habe keinen Regenschirm.",
        "我没有雨伞。",
    ),
    (
        "has_number",
        ["she", "brother", 2],
        "She has two brothers.",
        "Sie hat zwei Brüder.",
        "她有两个哥哥。",
    ),
    (
        "there_is",
        ["pharmacy", "next to", "train station"],
        "There is a pharmacy next to the train station.",
        "Neben dem Bahnhof gibt es eine Apotheke.",
        "火车站旁边有一家药店。",
    ),
    (
        "nearby",
        ["pharmacy", ""],
        "Is there a pharmacy near here?",
        "Gibt es hier in der Nähe eine Apotheke?",
        "这附近有一家药店吗？",
    ),
    (
        "nearest",
        ["bank"],
        "Where is the nearest bank?",
        "Wo ist die nächste Bank?",
        "最近的银行在哪里？",
    ),
    (
        "way",
        ["airport"],
        "How do I get to the airport?",
        "Wie komme ich zum Flughafen?",
        "去机场怎么走？",
    ),
    (
        "price",
        ["hat", "this", 35],
        "This hat costs thirty-five euros.",
        "Dieser Hut kostet fünfunddreißig Euro.",
        "这顶帽子要三十五欧元。",
    ),
    (
        "how_much",
        ["scarf", "the", "red"],
        "How much does the red scarf cost?",
        "Wie viel kostet der rote Schal?",
        "那条红色的围巾多少钱？",
    ),
    ("clock", [3, 30], "It is half past three.", "Es ist halb vier.", "现在三点半。"),
    (
        "departure",
        ["train", "Vienna", 2, 15],
        "The train to Vienna leaves at a quarter past two.",
        "Der Zug nach Wien fährt um Viertel nach zwei ab.",
        "去维也纳的火车两点一刻出发。",
    ),
    (
        "which",
        ["bus", "Prague"],
        "Which bus goes to Prague?",
        "Welcher Bus fährt nach Prag?",
        "哪辆大巴去布拉格？",
    ),
    (
        "travel",
        ["we", "tomorrow", "train", "Rome"],
        "Tomorrow we are going to Rome by train.",
        "Morgen fahren wir mit dem Zug nach Rom.",
        "明天我们坐火车去罗马。",
    ),
    (
        "location",
        ["key", "my", "under", "table"],
        "My key is under the table.",
        "Mein Schlüssel ist unter dem Tisch.",
        "我的钥匙在桌子下面。",
    ),
    (
        "put",
        ["Anna", "book", "on", "the", "table"],
        "Anna put the book on the table.",
        "Anna hat das Buch auf den Tisch gelegt.",
        "安娜把那本书放在桌子上了。",
    ),
    (
        "give",
        ["she", "give", "mother", "flower", ""],
        "She gave her mother a flower.",
        "Sie hat ihrer Mutter eine Blume gegeben.",
        "她给了她妈妈一朵花。",
    ),
    (
        "like",
        ["my uncle", "hat", "the", "green", True],
        "My uncle does not like the green hat.",
        "Der grüne Hut gefällt meinem Onkel nicht.",
        "我叔叔不喜欢那顶绿色的帽子。",
    ),
    (
        "order_drinks",
        ["cup", 3, "coffee"],
        "I would like three cups of coffee, please.",
        "Ich hätte gern drei Tassen Kaffee.",
        "请给我三杯咖啡。",
    ),
    (
        "been_to",
        ["you", "Paris"],
        "Have you ever been to Paris?",
        "Waren Sie schon einmal in Paris?",
        "您去过巴黎吗？",
    ),
    (
        "never_been_to",
        ["he", "Beijing"],
        "He has never been to Beijing.",
        "Er war noch nie in Peking.",
        "他从来没去过北京。",
    ),
    (
        "wears",
        ["Lisa", "dress", "blue"],
        "Today Lisa is wearing a blue dress.",
        "Heute trägt Lisa ein blaues Kleid.",
        "丽莎今天穿着一条蓝色的连衣裙。",
    ),
    (
        "weather",
        ["it is raining", "Berlin", "today"],
        "It is raining in Berlin today.",
        "In Berlin regnet es heute.",
        "柏林今天下雨。",
    ),
    (
        "age",
        ["my grandfather", 72],
        "My grandfather is seventy-two years old.",
        "Mein Großvater ist zweiundsiebzig Jahre alt.",
        "我爷爷七十二岁。",
    ),
    (
        "lives_in",
        ["Maria", "Vienna", 3],
        "Maria has lived in Vienna for three years.",
        "Maria wohnt seit drei Jahren in Wien.",
        "玛丽亚在维也纳住了三年了。",
    ),
    (
        "learns",
        ["I", "German", 2],
        "I have been learning German for two years.",
        "Ich lerne seit zwei Jahren Deutsch.",
        "我学德语学了两年了。",
    ),
    (
        "speaks",
        ["he", "French", "Russian"],
        "He speaks French and a little Russian.",
        "Er spricht Französisch und ein bisschen Russisch.",
        "他会说法语和一点儿俄语。",
    ),
    (
        "opens_at",
        ["museum", "closes", 5, 0],
        "The museum closes at five o'clock.",
        "Das Museum schließt um fünf Uhr.",
        "博物馆五点关门。",
    ),
    (
        "appointment",
        ["I", "friend", 4, 0, "cinema", "in front of"],
        "I am meeting my friend at four o'clock in front of the cinema.",
        "Ich treffe meinen Freund um vier Uhr vor dem Kino.",
        "我四点在电影院前面见我的朋友。",
    ),
    (
        "distance",
        ["Munich", 20],
        "It is twenty kilometers to Munich.",
        "Bis München sind es zwanzig Kilometer.",
        "到慕尼黑有二十公里。",
    ),
    ("pleasantry", ["Thank you very much."], "Thank you very much.", "Vielen Dank.", "非常感谢。"),
    # What is hard in the grammar: the dative and the weak declension, measure words, particles, the
    # other orders.
    (
        "past",
        ["I", "help", "colleague", "my", "young", "yesterday", False],
        "I helped my young colleague yesterday.",
        "Ich habe gestern meinem jungen Kollegen geholfen.",
        "我昨天帮助了我年轻的同事。",
    ),
    (
        "past",
        ["my aunt", "call", "neighbor", "the", "", "last week", False],
        "My aunt called the neighbor last week.",
        "Meine Tante hat letzte Woche den Nachbarn angerufen.",
        "我姑姑上周给那位邻居打了电话。",
    ),
    (
        "plan",
        ["Emma", "wear", "scarf", "a", "white", "today", False],
        "Emma will wear a white scarf today.",
        "Emma trägt heute einen weißen Schal.",
        "艾玛今天要戴一条白色的围巾。",
    ),
    (
        "prohibition",
        ["feed", "duck", "the"],
        "Please do not feed the duck!",
        "Füttern Sie bitte die Ente nicht!",
        "请不要喂那只鸭子！",
    ),
    (
        "purpose",
        ["they", "pick up", "airport", "guest", ""],
        "They are going to the airport to pick up the guest.",
        "Sie gehen zum Flughafen, um den Gast abzuholen.",
        "他们去机场接那位客人。",
    ),
    ("clock", [12, 45], "It is a quarter to one.", "Es ist Viertel vor eins.", "现在十二点三刻。"),
    (
        "habit",
        ["I", "feed", "horse", "always"],
        "I always feed my horse.",
        "Ich füttere immer mein Pferd.",
        "我总是喂我的马。",
    ),
    # A habit is of things of a kind, which are many unless they are not counted.
    (
        "habit",
        ["he", "eat", "apple", "often"],
        "He often eats apples.",
        "Er isst oft Äpfel.",
        "他经常吃苹果。",
    ),
    (
        "habit",
        ["he", "read", "book", "old", "often"],
        "He often reads old books.",
        "Er liest oft alte Bücher.",
        "他经常看旧书。",
    ),
    (
        "habit",
        ["she", "eat", "bread", "rarely"],
        "She rarely eats bread.",
        "Sie isst selten Brot.",
        "她很少吃面包。",
    ),
    # "an" goes by the word that follows it.
    (
        "past",
        ["she", "buy", "coat", "a", "old", "yesterday", False],
        "She bought an old coat yesterday.",
        "Sie hat gestern einen alten Mantel gekauft.",
        "她昨天买了一件旧大衣。",
    ),
    (
        "has",
        ["I", "umbrella", "red"],
        "I have a red umbrella.",
        "Ich habe einen roten Regenschirm.",
        "我有一把红色的雨伞。",
    ),
    (
        "nearby",
        ["university", ""],
        "Is there a university near here?",
        "Gibt es hier in der Nähe eine Universität?",
        "这附近有一所大学吗？",
    ),
    # What a thing is like loses its 的.
    (
        "property_of",
        ["dress", "this", "cheap", "very"],
        "This dress is very cheap.",
        "Dieses Kleid ist sehr billig.",
        "这条连衣裙很便宜。",
    ),
    # Modal verbs of others than a third person.
    (
        "modal_sentence",
        ["I", "has to", "repair", "car", "my", "", ""],
        "I have to repair my car.",
        "Ich muss mein Auto reparieren.",
        "我得修理我的汽车。",
    ),
    (
        "modal_sentence",
        ["they", "wants to", "read", "book", "the", "", ""],
        "They want to read the book.",
        "Sie wollen das Buch lesen.",
        "他们想看那本书。",
    ),
    (
        "modal_sentence",
        ["he", "wants to", "read", "book", "the", "", ""],
        "He wants to read the book.",
        "Er will das Buch lesen.",
        "他想看那本书。",
    ),
]


BY_NAME = {pattern.__name__: pattern for pattern in PATTERNS}


class Script:
    """Chooses what is written down, by name where the options have names."""

    def __init__(self, choices):
        self.choices = list(choices)

    def __call__(self, options):
        if not self.choices:  # nothing more is asked for: no attribute
            assert "" in options
            return ""
        choice = self.choices.pop(0)
        assert choice in options, f"{choice} is none of {list(options)}"
        return options[choice] if isinstance(options, dict) else choice


@pytest.mark.parametrize("name, choices, english, german, chinese", WRITTEN_BY_HAND)
def test_pairs_written_by_hand(name, choices, english, german, chinese):
    script = Script(choices)
    sentence = BY_NAME[name](script)
    assert (sentence.english, sentence.german, sentence.chinese) == (english, german, chinese)
    assert not script.choices


def test_the_docstring_of_a_pattern_is_its_first_pair():
    first = {}
    for name, _, *texts in WRITTEN_BY_HAND:
        first.setdefault(name, " ".join(texts))
    shown = {pattern.__name__: " ".join(pattern.__doc__.split()) for pattern in PATTERNS}
    # A line may break between the languages, where Chinese has no space.
    assert shown == first


def test_the_phrasebook_is_as_large_as_promised():
    assert entries() >= 400
    assert len(PATTERNS) >= 40


@pytest.mark.parametrize(
    "name, determiner, adjective, plural, forms",
    [
        ("coat", "the", "red", False, ("der rote Mantel", "den roten Mantel", "dem roten Mantel")),
        (
            "coat",
            "a",
            "red",
            False,
            ("ein roter Mantel", "einen roten Mantel", "einem roten Mantel"),
        ),
        (
            "dress",
            "a",
            "expensive",
            False,
            ("ein teures Kleid", "ein teures Kleid", "einem teuren Kleid"),
        ),
        (
            "lamp",
            "my",
            "old",
            False,
            ("meine alte Lampe", "meine alte Lampe", "meiner alten Lampe"),
        ),
        ("car", "our", None, False, ("unser Auto", "unser Auto", "unserem Auto")),
        (
            "child",
            3,
            "young",
            False,
            ("drei junge Kinder", "drei junge Kinder", "drei jungen Kindern"),
        ),
        ("boy", "the", None, False, ("der Junge", "den Jungen", "dem Jungen")),
        ("table", "this", None, False, ("dieser Tisch", "diesen Tisch", "diesem Tisch")),
        ("apple", "no", None, True, ("keine Äpfel", "keine Äpfel", "keinen Äpfeln")),
        (
            "dog",
            "the",
            "small",
            True,
            ("die kleinen Hunde", "die kleinen Hunde", "den kleinen Hunden"),
        ),
    ],
)
def test_german_declension(name, determiner, adjective, plural, forms):
    phrase = noun_phrase(NOUNS[name], determiner, ADJECTIVES.get(adjective), plural)
    assert tuple(phrase.german[case] for case in CASES) == forms


def test_numbers():
    assert [english_number(n) for n in (7, 12, 40, 99)] == [
        "seven",
        "twelve",
        "forty",
        "ninety-nine",
    ]
    assert [german_number(n) for n in (7, 16, 21, 30, 77)] == [
        "sieben",
        "sechzehn",
        "einundzwanzig",
        "dreißig",
        "siebenundsiebzig",
    ]
    assert [chinese_number(n) for n in (2, 10, 12, 20, 35)] == [
        "二",
        "十",
        "十二",
        "二十",
        "三十五",
    ]
    assert [english_number(n) for n in (0, 19, 20, 21, 30)] == [
        "zero",
        "nineteen",
        "twenty",
        "twenty-one",
        "thirty",
    ]
    assert [german_number(n) for n in (0, 19, 20, 99)] == [
        "null",
        "neunzehn",
        "zwanzig",
        "neunundneunzig",
    ]
    assert [chinese_number(n) for n in (0, 9, 19, 21, 99)] == [
        "零",
        "九",
        "十九",
        "二十一",
        "九十九",
    ]
    assert [chinese_number(n, counting=True) for n in (2, 12, 22)] == ["两", "十二", "二十二"]


@pytest.mark.parametrize(
    "text, short",
    [
        ("in dem Park", "im Park"),
        ("an dem See", "am See"),
        ("von dem Zoo", "vom Zoo"),
        ("zu dem Markt", "zum Markt"),
        ("zu der Bank", "zur Bank"),
        ("bei dem Arzt", "beim Arzt"),
        ("in das Café", "ins Café"),
        ("in die Bank", "in die Bank"),
    ],
)
def test_prepositions_take_articles_in(text, short):
    assert contract(text) == short


@pytest.mark.parametrize(
    "verb, forms",
    [
        ("wash", "washes washed washed washing"),
        ("miss", "misses missed missed missing"),
        ("close", "closes closed closed closing"),
        ("visit (place)", "visits visited visited visiting"),
        ("put on", "puts on put on put on putting on"),
        ("draw", "draws drew drawn drawing"),
    ],
)
def test_english_verbs(verb, forms):
    names = ("third", "past", "participle", "ing")
    assert " ".join(english_verb(verb, name) for name in names) == forms


@pytest.mark.parametrize(
    "minute, english, german, chinese",
    [
        (0, "twelve o'clock", "zwölf Uhr", "十二点"),
        (5, "five past twelve", "fünf nach zwölf", "十二点五分"),
        (10, "ten past twelve", "zehn nach zwölf", "十二点十分"),
        (15, "a quarter past twelve", "Viertel nach zwölf", "十二点一刻"),
        (20, "twenty past twelve", "zwanzig nach zwölf", "十二点二十分"),
        (30, "half past twelve", "halb eins", "十二点半"),
        (40, "twenty to one", "zwanzig vor eins", "十二点四十分"),
        (45, "a quarter to one", "Viertel vor eins", "十二点三刻"),
        (50, "ten to one", "zehn vor eins", "十二点五十分"),
    ],
)
def test_the_time_after_noon(minute, english, german, chinese):
    assert places.clock_time(Script([12, minute])) == (english, german, chinese)


def test_one_o_clock():
    assert places.clock_time(Script([1, 0])) == ("one o'clock", "ein Uhr", "一点")
    assert places.clock_time(Script([2, 5])) == ("five past two", "fünf nach zwei", "两点五分")


# Their hashes, the first byte: 158, 9 and 23; the test's are below 18, validation's below 26.
LEARNT, TESTED, VALIDATED = ("eat", "apple"), ("eat", "carrot"), ("eat", "cookie")


@pytest.mark.parametrize(
    "combinations, split",
    [
        ([LEARNT], "train"),
        ([TESTED], "test"),
        ([VALIDATED], "validation"),
        ([TESTED, LEARNT], "test"),
        ([LEARNT, VALIDATED], "validation"),
        ([TESTED, ("buy", "pizza")], "test"),
        ([TESTED, VALIDATED], None),
        ([VALIDATED, TESTED, LEARNT], None),
    ],
)
def test_a_sentence_of_two_held_out_splits_belongs_to_neither(combinations, split):
    assert split_of(combinations) == split_of(set(combinations)) == split


@pytest.mark.slow
@pytest.mark.parametrize("language", ["german", "chinese"])
def test_english_determines_the_translation(language):
    found = {}
    for _, sentence in zip(range(60_000), sentences(seed=3)):
        translation = getattr(sentence, language)
        assert found.setdefault(sentence.english, translation) == translation


@pytest.mark.slow
def test_a_hundred_thousand_pairs_and_no_combination_of_the_test_in_training():
    splits = phrasebook("german")(100_000, seed=1)
    assert {split: len(pairs) for split, pairs in splits.items()} == {
        "train": 100_000,
        "validation": 1000,
        "test": 1000,
    }
    sources = [source for pairs in splits.values() for source, _ in pairs]
    assert len(set(sources)) == len(sources)
    split_by_source = {source: split for split, pairs in splits.items() for source, _ in pairs}
    found = {split: [] for split in splits}
    for _, sentence in zip(range(200_000), sentences(seed=1)):
        if sentence.english in split_by_source:
            found[split_by_source[sentence.english]].append(sentence.combinations)
    trained = set().union(*found["train"])
    assert len(found["test"]) >= 1000
    assert all(combinations - trained for combinations in found["test"])


@pytest.mark.slow
def test_every_verb_and_every_noun_is_learnt_in_training():
    trained = (
        s.combinations
        for _, s in zip(range(100_000), sentences(seed=1))
        if split_of(s.combinations) == "train"
    )
    seen = {
        word for combinations in trained for combination in combinations for word in combination
    }
    assert not [name for name in (*VERBS, *NOUNS) if name not in seen]


@pytest.mark.slow
def test_the_same_seed_draws_the_same_corpus():
    draw = CORPORA["phrasebook_en_zh"]
    assert draw(2000, seed=1) == draw(2000, seed=1) != draw(2000, seed=2)


def test_more_sentences_than_there_are_is_an_error(monkeypatch):
    monkeypatch.setattr("data.corpora.phrasebook.PATTERNS", (places.clock, places.way))
    monkeypatch.setattr("data.corpora.phrasebook.HELD_OUT", 1)
    # Of 12 times 9 times of the day and 30 places 16 are the test's and 1 is validation's.
    message = "corpus_size must be at most 121 for this corpus. Received: 5000"
    with pytest.raises(DataError, match=message):
        phrasebook("german")(5000, seed=1)
