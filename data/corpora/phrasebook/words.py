"""The other words of the phrasebook, as tables of text.

They are verbs, adjectives, names, times, places and pleasantries.
"""

import collections

from data.corpora.phrasebook.nouns import MASS, NOUNS


def _table(kind, text):
    """Returns {English: entry} from lines of fields that are separated by semicolons."""
    rows = [[field.strip() for field in line.split(";")] for line in text.strip().splitlines()]
    return {row[0]: kind(*row) for row in rows}


# name: the English verb. A note in parentheses distinguishes two meanings.
# german: the infinitive, with | after a separable prefix.
# third: the er-form.
# chinese: with ... in the place of the object, if it does not come last.
# determiners of the object: a "a" or "an", t "the", s "this", o one's own, n a number.
# uses: h habit, n now, f future, p past, m modal, i imperative.
# classes: those that the objects may have.
Verb = collections.namedtuple(
    "Verb", "name german third participle chinese determiners uses classes"
)

VERBS = {
    name: verb._replace(classes=frozenset(verb.classes.split()))
    for name, verb in _table(
        Verb,
        """
eat; essen; isst; gegessen; 吃; a t n; hnfpmi; food eat
drink; trinken; trinkt; getrunken; 喝; ; hnfpm; drink
buy; kaufen; kauft; gekauft; 买; a t s n; hnfpmi; food thing furniture vehicle drink eat
sell; verkaufen; verkauft; verkauft; 卖; o t s; hfpm; thing furniture vehicle
order; bestellen; bestellt; bestellt; 点; a n; hfpmi; dish soup drink
cook; kochen; kocht; gekocht; 煮; a n; hnfpmi; cook
look for; suchen; sucht; gesucht; 找; o t; n; small lose wear animal
find; finden; findet; gefunden; 找到; o t; pm; small lose animal
need; brauchen; braucht; gebraucht; 需要; a t n; hf; thing small furniture vehicle
see; sehen; sieht; gesehen; 看见; a t n; p; animal person vehicle place
repair; reparieren; repariert; repariert; 修理; o t s; hnfpmi; repair
wash; waschen; wäscht; gewaschen; 洗; o t s; hnfpmi; wear wash
wear; tragen; trägt; getragen; 穿; o a s; hfpm; wear
put on; an|ziehen; zieht; angezogen; 穿上; o t s; fpmi; clothes
take off; aus|ziehen; zieht; ausgezogen; 脱下; o t; fpmi; clothes
try on; an|probieren; probiert; anprobiert; 试穿; t s n; nfpmi; clothes
read; lesen; liest; gelesen; 看; a t s; hnfpmi; read
write; schreiben; schreibt; geschrieben; 写; a t n; hnfpmi; write
sign; unterschreiben; unterschreibt; unterschrieben; 签; t s o; hfpmi; sign
copy; kopieren; kopiert; kopiert; 复印; t s n; hnfpmi; read sign
translate; übersetzen; übersetzt; übersetzt; 翻译; a t s; hnfpmi; read sign
print out; aus|drucken; druckt; ausgedruckt; 打印; a t s; hnfpmi; print
explain; erklären; erklärt; erklärt; 解释; t s; hnfpmi; explain
lose; verlieren; verliert; verloren; 弄丢; o t; p; lose
forget; vergessen; vergisst; vergessen; 忘带; o; hp; lose
open; auf|machen; macht; aufgemacht; 打开; t o s; hfpmi; open
close; zu|machen; macht; zugemacht; 关上; t s; hfpmi; shut
turn on; ein|schalten; schaltet; eingeschaltet; 打开; t o s; fpmi; switch
turn off; aus|schalten; schaltet; ausgeschaltet; 关掉; t o s; fpmi; switch
bring along; mit|bringen; bringt; mitgebracht; 带; a n o; fpmi; small food
pick up; ab|holen; holt; abgeholt; 接; o t; hfpmi; kin person
call; an|rufen; ruft; angerufen; 给...打电话; o t; hfpmi; kin person
invite; ein|laden; lädt; eingeladen; 邀请; o t; hfpmi; kin person
visit; besuchen; besucht; besucht; 看望; o t; hfpmi; kin mine
visit (place); besichtigen; besichtigt; besichtigt; 参观; t a s; fpm; visit
meet; treffen; trifft; getroffen; 见; o t; fpm; kin person
ask; fragen; fragt; gefragt; 问; o t; hfpmi; kin person
help; helfen; hilft; geholfen; 帮助; o t; hfpmi; kin person
thank; danken; dankt; gedankt; 感谢; o t; fpmi; kin person
hug; umarmen; umarmt; umarmt; 拥抱; o t; hpm; kin person
recommend; empfehlen; empfiehlt; empfohlen; 推荐; t s; hpm; recommend
rent; mieten; mietet; gemietet; 租; a t s; hfpm; vehicle
borrow; aus|leihen; leiht; ausgeliehen; 借; a t n; hfpm; borrow
return; zurück|bringen; bringt; zurückgebracht; 还; t; fpmi; borrow
carry; tragen; trägt; getragen; 搬; t o s; npmi; carry
take; nehmen; nimmt; genommen; 坐; t; hfpm; transport
miss; verpassen; verpasst; verpasst; 错过; t; p; transport
wait for; warten; wartet; gewartet; 等; t o; nm; transport kin person
send; schicken; schickt; geschickt; 寄; t o n; hfpmi; letter
feed; füttern; füttert; gefüttert; 喂; o t; hnfpmi; animal
photograph; fotografieren; fotografiert; fotografiert; 拍; a t; hnfpm; animal place
draw; zeichnen; zeichnet; gezeichnet; 画; a t n; hnfpmi; animal vehicle
clean; putzen; putzt; geputzt; 擦; t o s; hnfpmi; clean
""",
    ).items()
}

# The possible objects of each verb, {English: Noun}.
OBJECTS = {
    name: {
        key: noun
        for table in (NOUNS, MASS)
        for key, noun in table.items()
        if noun.classes & verb.classes
    }
    for name, verb in VERBS.items()
}

# Verbs whose German object is not a plain accusative: the preposition before it, and its case.
GERMAN_OBJECT = {"help": ("", "dat"), "thank": ("", "dat"), "wait for": ("auf", "acc")}
# German ich-forms that are not the infinitive without its final n.
GERMAN_ICH = {"füttern": "füttere"}
# The English third person, past, participle and -ing form of irregular verbs.
ENGLISH_FORMS = {
    row.split()[0]: row.split()[1:]
    for row in """
eat eats ate eaten eating
drink drinks drank drunk drinking
buy buys bought bought buying
sell sells sold sold selling
find finds found found finding
see sees saw seen seeing
wear wears wore worn wearing
put puts put put putting
take takes took taken taking
try tries tried tried trying
read reads read read reading
write writes wrote written writing
copy copies copied copied copying
lose loses lost lost losing
forget forgets forgot forgotten forgetting
bring brings brought brought bringing
meet meets met met meeting
hug hugs hugged hugged hugging
carry carries carried carried carrying
send sends sent sent sending
feed feeds fed fed feeding
draw draws drew drawn drawing
""".strip().splitlines()
}

# chinese: the form of the attribute. The predicate drops its 的.
# classes: "thing", "place" and "person" are the nouns that it can be an attribute of. "grade" is a
# predicate of things, "taste" of food, "state" and "figure" of people.
Adjective = collections.namedtuple("Adjective", "name german comparative chinese classes")

ADJECTIVES = {
    name: adjective._replace(classes=frozenset(adjective.classes.split()))
    for name, adjective in _table(
        Adjective,
        """
new; neu; neuer; 新; thing
old; alt; älter; 旧; thing
big; groß; größer; 大; thing grade
small; klein; kleiner; 小; thing grade
red; rot; ; 红色的; thing
blue; blau; ; 蓝色的; thing
green; grün; ; 绿色的; thing
black; schwarz; ; 黑色的; thing
white; weiß; ; 白色的; thing
yellow; gelb; ; 黄色的; thing
gray; grau; ; 灰色的; thing
brown; braun; ; 棕色的; thing
expensive; teuer; teurer; 昂贵的; thing grade
cheap; billig; billiger; 便宜的; thing grade good
beautiful; schön; schöner; 漂亮的; thing grade good
heavy; schwer; schwerer; 重; grade
light; leicht; leichter; 轻; grade
practical; praktisch; praktischer; 实用的; grade good
modern; modern; moderner; 现代的; place
famous; berühmt; berühmter; 有名的; place
large; groß; größer; 大; place
quiet; ruhig; ruhiger; 安静的; place
friendly; freundlich; freundlicher; 友好的; person
young; jung; jünger; 年轻的; person
polite; höflich; höflicher; 有礼貌的; person
patient; geduldig; geduldiger; 有耐心的; person
kind; nett; netter; 和善的; person
cold; kalt; ; 凉; taste
hot; heiß; ; 烫; taste
salty; salzig; ; 咸; taste
sweet; süß; ; 甜; taste
spicy; scharf; ; 辣; taste
tired; müde; ; 累; state
hungry; hungrig; ; 饿; state
thirsty; durstig; ; 渴; state
happy; glücklich; ; 开心; state good
sad; traurig; ; 难过; state
busy; beschäftigt; ; 忙; state
angry; wütend; ; 生气; state
nervous; nervös; ; 紧张; state
curious; neugierig; ; 好奇; state
satisfied; zufrieden; ; 满意; state good
tall; groß; größer; 高; figure
strong; stark; stärker; 强壮; figure
smart; klug; klüger; 聪明; figure
careful; vorsichtig; vorsichtiger; 谨慎; figure
""",
    ).items()
}

# german, accusative, dative: the German cases.
# person: "1" for ich, "3" for er and sie (she), "p" for the plural and Sie (you).
# own: the possessive.
# pronoun: the English pronoun for a subject that was mentioned.
Subject = collections.namedtuple(
    "Subject", "name german accusative dative chinese person own pronoun"
)

PRONOUNS = _table(
    Subject,
    """
I; ich; mich; mir; 我; 1; my; I
you; Sie; Sie; Ihnen; 您; p; your; you
he; er; ihn; ihm; 他; 3; his; he
she; sie; sie; ihr; 她; 3; her; she
we; wir; uns; uns; 我们; p; our; we
they; sie; sie; ihnen; 他们; p; their; they
""",
)
NAMES = {
    name: Subject(name, german, german, german, chinese, "3", own, {"his": "he", "her": "she"}[own])
    for name, german, chinese, own in _table(
        lambda *fields: fields,
        """
Anna; Anna; 安娜; her
Paul; Paul; 保罗; his
Maria; Maria; 玛丽亚; her
Peter; Peter; 彼得; his
Lisa; Lisa; 丽莎; her
Thomas; Thomas; 托马斯; his
Julia; Julia; 尤利娅; her
Martin; Martin; 马丁; his
Sophie; Sophie; 索菲; her
David; David; 大卫; his
Emma; Emma; 艾玛; her
Lukas; Lukas; 卢卡斯; his
""",
    ).values()
}

Word = collections.namedtuple("Word", "name german chinese")

POSSESSIVES = _table(
    Word,
    """
my; mein; 我
your; Ihr; 您
his; sein; 他
her; ihr; 她
our; unser; 我们
their; ihr; 他们
""",
)
CITIES = _table(
    Word,
    """
Berlin; Berlin; 柏林
Munich; München; 慕尼黑
Vienna; Wien; 维也纳
Hamburg; Hamburg; 汉堡
Cologne; Köln; 科隆
Zurich; Zürich; 苏黎世
Paris; Paris; 巴黎
London; London; 伦敦
Rome; Rom; 罗马
Beijing; Peking; 北京
Shanghai; Schanghai; 上海
Madrid; Madrid; 马德里
Prague; Prag; 布拉格
""",
)
LANGUAGES = _table(
    Word,
    """
German; Deutsch; 德语
English; Englisch; 英语
Chinese; Chinesisch; 汉语
French; Französisch; 法语
Spanish; Spanisch; 西班牙语
Italian; Italienisch; 意大利语
Russian; Russisch; 俄语
Japanese; Japanisch; 日语
""",
)
PAST_TIMES = _table(
    Word,
    """
yesterday; gestern; 昨天
last week; letzte Woche; 上周
this morning; heute Morgen; 今天早上
yesterday evening; gestern Abend; 昨天晚上
two days ago; vor zwei Tagen; 两天前
last year; letztes Jahr; 去年
""",
)
FUTURE_TIMES = _table(
    Word,
    """
tomorrow; morgen; 明天
today; heute; 今天
next week; nächste Woche; 下周
tonight; heute Abend; 今天晚上
the day after tomorrow; übermorgen; 后天
on Friday; am Freitag; 星期五
tomorrow morning; morgen früh; 明天早上
next month; nächsten Monat; 下个月
""",
)
FREQUENCIES = _table(
    Word,
    """
often; oft; 经常
always; immer; 总是
sometimes; manchmal; 有时候
rarely; selten; 很少
usually; normalerweise; 通常
""",
)
# german: the ich-form, which is also the er-form. plural: the form of wir.
MODALS = _table(
    collections.namedtuple("Modal", "name german plural chinese"),
    """
can; kann; können; 能
has to; muss; müssen; 得
wants to; will; wollen; 想
would like to; möchte; möchten; 想
should; sollte; sollten; 应该
""",
)
# The German is a preposition. The Chinese comes after the place.
LOCATIONS = _table(
    Word,
    """
on; auf; 上
under; unter; 下面
behind; hinter; 后面
next to; neben; 旁边
in front of; vor; 前面
""",
)
CONTAINERS = _table(
    collections.namedtuple("Container", "name plural german german_plural chinese"),
    """
cup; cups; Tasse; Tassen; 杯
glass; glasses; Glas; Gläser; 杯
bottle; bottles; Flasche; Flaschen; 瓶
""",
)
# name, condition, future: English for the weather now, as a condition, and to come.
# finite, rest: the German finite verb, and the rest of the predicate.
WEATHER = _table(
    collections.namedtuple("Weather", "name condition future finite rest chinese"),
    """
it is raining; it rains; it will rain; regnet;; 下雨
it is snowing; it snows; it will snow; schneit;; 下雪
it is cold; it is cold; it will be cold; ist; kalt; 很冷
it is hot; it is hot; it will be hot; ist; heiß; 很热
it is windy; it is windy; it will be windy; ist; windig; 刮风
it is foggy; it is foggy; it will be foggy; ist; neblig; 有雾
""",
)
# Verbs of giving something to someone: the English base and past, the German participle, and the
# Chinese past with ... in the place of the receiver.
GIVING = _table(
    collections.namedtuple("Giving", "name past german chinese"),
    """
give; gave; gegeben; 给了...
show; showed; gezeigt; 给...看了
lend; lent; geliehen; 借给了...
bring; brought; gebracht; 给...带来了
""",
)
GRADES = _table(
    Word,
    """
very; sehr; 很
too; zu; 太
not; nicht; 不
a bit; ein bisschen; 有点儿
""",
)
SAYING = _table(
    collections.namedtuple("Saying", "name third ich er plural chinese"),
    """
think; thinks; glaube; glaubt; glauben; 觉得
say; says; sage; sagt; sagen; 说
know; knows; weiß; weiß; wissen; 知道
""",
)
PLEASANTRIES = _table(
    Word,
    """
Good morning!; Guten Morgen!; 早上好！
Good evening!; Guten Abend!; 晚上好！
Good night!; Gute Nacht!; 晚安！
Goodbye!; Auf Wiedersehen!; 再见！
Thank you very much.; Vielen Dank.; 非常感谢。
You're welcome.; Gern geschehen.; 不客气。
Excuse me, please.; Entschuldigen Sie bitte.; 请问一下。
I am sorry.; Es tut mir leid.; 对不起。
Have a nice trip!; Gute Reise!; 一路顺风！
Enjoy your meal!; Guten Appetit!; 祝您胃口好！
Happy birthday!; Alles Gute zum Geburtstag!; 生日快乐！
Congratulations!; Herzlichen Glückwunsch!; 恭喜！
See you tomorrow.; Bis morgen.; 明天见。
See you later.; Bis später.; 回头见。
How are you?; Wie geht es Ihnen?; 您好吗？
I am fine.; Es geht mir gut.; 我很好。
What is your name?; Wie heißen Sie?; 您叫什么名字？
Where are you from?; Woher kommen Sie?; 您是哪里人？
I do not understand.; Ich verstehe nicht.; 我不明白。
Please speak slowly.; Bitte sprechen Sie langsam.; 请说慢一点。
Can you help me?; Können Sie mir helfen?; 您能帮我吗？
What time is it?; Wie spät ist es?; 现在几点？
That is all.; Das ist alles.; 就这些。
No problem.; Kein Problem.; 没问题。
""",
)


def entries():
    """Returns the number of lexical entries: words and set phrases in the three languages."""
    tables = (
        NOUNS,
        MASS,
        VERBS,
        ADJECTIVES,
        PRONOUNS,
        NAMES,
        POSSESSIVES,
        CITIES,
        LANGUAGES,
        PAST_TIMES,
        FUTURE_TIMES,
        FREQUENCIES,
        MODALS,
        LOCATIONS,
        CONTAINERS,
        WEATHER,
        GIVING,
        GRADES,
        SAYING,
        PLEASANTRIES,
    )
    return sum(map(len, tables))
