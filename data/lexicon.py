"""The words of the phrasebook: English, German and Chinese side by side, as tables of text.

A noun: English; its plural; German; gender (m, f, n; w: masculine of the weak declension, which adds -n or -en outside
the nominative); German plural; Chinese; measure word; classes, which say what can be done with it.
A verb: English; German infinitive (a separable prefix before |); er-form; participle; h or s for haben or sein; Chinese;
classes of objects.
"""

import collections

Noun = collections.namedtuple("Noun", "english plural german gender german_plural chinese measure classes")
Verb = collections.namedtuple("Verb", "english german third participle auxiliary chinese classes")
Adjective = collections.namedtuple("Adjective", "english german comparative chinese classes")
Word = collections.namedtuple("Word", "english german chinese")


def _table(kind, text):
    """{English: entry} from lines of fields separated by semicolons."""
    rows = [[field.strip() for field in line.split(";")] for line in text.strip().splitlines()]
    return {row[0]: kind(*row) for row in rows}


def _with_classes(entries):
    return {name: entry._replace(classes=frozenset(entry.classes.split())) for name, entry in entries.items()}


NOUNS = _with_classes(_table(Noun, """
apple; apples; Apfel; m; Äpfel; 苹果; 个; food
banana; bananas; Banane; f; Bananen; 香蕉; 根; food
orange; oranges; Orange; f; Orangen; 橙子; 个; food
pear; pears; Birne; f; Birnen; 梨; 个; food
egg; eggs; Ei; n; Eier; 鸡蛋; 个; food
sandwich; sandwiches; Sandwich; n; Sandwiches; 三明治; 个; food dish
pizza; pizzas; Pizza; f; Pizzas; 比萨饼; 张; food dish
cake; cakes; Kuchen; m; Kuchen; 蛋糕; 个; food dish
roll; rolls; Brötchen; n; Brötchen; 小面包; 个; food
steak; steaks; Steak; n; Steaks; 牛排; 块; food dish
salad; salads; Salat; m; Salate; 沙拉; 份; food dish
soup; soups; Suppe; f; Suppen; 汤; 碗; dish
noodle soup; noodle soups; Nudelsuppe; f; Nudelsuppen; 汤面; 碗; dish
sausage; sausages; Wurst; f; Würste; 香肠; 根; food dish
potato; potatoes; Kartoffel; f; Kartoffeln; 土豆; 个; food
tomato; tomatoes; Tomate; f; Tomaten; 西红柿; 个; food
carrot; carrots; Karotte; f; Karotten; 胡萝卜; 根; food
cookie; cookies; Keks; m; Kekse; 饼干; 块; food
lemon; lemons; Zitrone; f; Zitronen; 柠檬; 个; food
peach; peaches; Pfirsich; m; Pfirsiche; 桃子; 个; food
strawberry; strawberries; Erdbeere; f; Erdbeeren; 草莓; 颗; food
pancake; pancakes; Pfannkuchen; m; Pfannkuchen; 煎饼; 张; food dish
hat; hats; Hut; m; Hüte; 帽子; 顶; wear thing
jacket; jackets; Jacke; f; Jacken; 夹克; 件; wear thing
coat; coats; Mantel; m; Mäntel; 大衣; 件; wear thing
shirt; shirts; Hemd; n; Hemden; 衬衫; 件; wear thing
dress; dresses; Kleid; n; Kleider; 连衣裙; 条; wear thing
skirt; skirts; Rock; m; Röcke; 裙子; 条; wear thing
sweater; sweaters; Pullover; m; Pullover; 毛衣; 件; wear thing
scarf; scarves; Schal; m; Schals; 围巾; 条; wear thing
suit; suits; Anzug; m; Anzüge; 西装; 套; wear thing
T-shirt; T-shirts; T-Shirt; n; T-Shirts; T恤; 件; wear thing
blouse; blouses; Bluse; f; Blusen; 女式衬衫; 件; wear thing
raincoat; raincoats; Regenmantel; m; Regenmäntel; 雨衣; 件; wear thing
umbrella; umbrellas; Regenschirm; m; Regenschirme; 雨伞; 把; thing small
bag; bags; Tasche; f; Taschen; 包; 个; thing small open
backpack; backpacks; Rucksack; m; Rucksäcke; 背包; 个; thing small open
suitcase; suitcases; Koffer; m; Koffer; 行李箱; 个; thing open
key; keys; Schlüssel; m; Schlüssel; 钥匙; 把; small lose
watch; watches; Armbanduhr; f; Armbanduhren; 手表; 块; thing small lose
ring; rings; Ring; m; Ringe; 戒指; 枚; thing small lose
wallet; wallets; Portemonnaie; n; Portemonnaies; 钱包; 个; thing small lose open
knife; knives; Messer; n; Messer; 刀; 把; thing small
fork; forks; Gabel; f; Gabeln; 叉子; 把; thing small
spoon; spoons; Löffel; m; Löffel; 勺子; 把; thing small
plate; plates; Teller; m; Teller; 盘子; 个; thing small wash
glass; glasses; Glas; n; Gläser; 玻璃杯; 个; thing small wash
cup; cups; Tasse; f; Tassen; 杯子; 个; thing small wash
bottle; bottles; Flasche; f; Flaschen; 瓶子; 个; thing small open
basket; baskets; Korb; m; Körbe; 篮子; 个; thing small
gift; gifts; Geschenk; n; Geschenke; 礼物; 份; thing small open
flower; flowers; Blume; f; Blumen; 花; 朵; thing small
candle; candles; Kerze; f; Kerzen; 蜡烛; 根; thing small
towel; towels; Handtuch; n; Handtücher; 毛巾; 条; thing small wash
blanket; blankets; Decke; f; Decken; 毯子; 条; thing wash
pillow; pillows; Kissen; n; Kissen; 枕头; 个; thing
mirror; mirrors; Spiegel; m; Spiegel; 镜子; 面; thing
painting; paintings; Gemälde; n; Gemälde; 画; 幅; thing
ball; balls; Ball; m; Bälle; 球; 个; thing small
doll; dolls; Puppe; f; Puppen; 洋娃娃; 个; thing small
guitar; guitars; Gitarre; f; Gitarren; 吉他; 把; thing repair
violin; violins; Geige; f; Geigen; 小提琴; 把; thing repair
pen; pens; Kugelschreiber; m; Kugelschreiber; 圆珠笔; 支; thing small lose
pencil; pencils; Bleistift; m; Bleistifte; 铅笔; 支; thing small
comb; combs; Kamm; m; Kämme; 梳子; 把; thing small
tent; tents; Zelt; n; Zelte; 帐篷; 顶; thing repair
stamp; stamps; Briefmarke; f; Briefmarken; 邮票; 张; thing small
postcard; postcards; Postkarte; f; Postkarten; 明信片; 张; thing small read write
city map; city maps; Stadtplan; m; Stadtpläne; 城市地图; 张; thing small
book; books; Buch; n; Bücher; 书; 本; thing small read
letter; letters; Brief; m; Briefe; 信; 封; small read write
newspaper; newspapers; Zeitung; f; Zeitungen; 报纸; 份; thing small read
magazine; magazines; Zeitschrift; f; Zeitschriften; 杂志; 本; thing small read
e-mail; e-mails; E-Mail; f; E-Mails; 电子邮件; 封; read write
article; articles; Artikel; m; Artikel; 文章; 篇; read write
novel; novels; Roman; m; Romane; 小说; 本; thing small read
dictionary; dictionaries; Wörterbuch; n; Wörterbücher; 词典; 本; thing small
report; reports; Bericht; m; Berichte; 报告; 份; read write
poem; poems; Gedicht; n; Gedichte; 诗; 首; read write
menu; menus; Speisekarte; f; Speisekarten; 菜单; 份; small read
travel guide; travel guides; Reiseführer; m; Reiseführer; 旅游指南; 本; thing small read
contract; contracts; Vertrag; m; Verträge; 合同; 份; read sign
form; forms; Formular; n; Formulare; 表格; 张; read sign
passport; passports; Reisepass; m; Reisepässe; 护照; 本; small lose
ticket; tickets; Fahrkarte; f; Fahrkarten; 车票; 张; thing small lose
bill; bills; Rechnung; f; Rechnungen; 账单; 张; small pay
credit card; credit cards; Kreditkarte; f; Kreditkarten; 信用卡; 张; small lose
driver's license; driver's licenses; Führerschein; m; Führerscheine; 驾照; 本; small lose
photo; photos; Foto; n; Fotos; 照片; 张; small
lamp; lamps; Lampe; f; Lampen; 灯; 盏; thing switch repair
radio; radios; Radio; n; Radios; 收音机; 台; thing switch repair
television; televisions; Fernseher; m; Fernseher; 电视机; 台; thing switch repair
computer; computers; Computer; m; Computer; 电脑; 台; thing switch repair
cell phone; cell phones; Handy; n; Handys; 手机; 部; thing small lose switch repair
camera; cameras; Kamera; f; Kameras; 照相机; 台; thing small lose repair
printer; printers; Drucker; m; Drucker; 打印机; 台; thing switch repair
washing machine; washing machines; Waschmaschine; f; Waschmaschinen; 洗衣机; 台; thing switch repair
refrigerator; refrigerators; Kühlschrank; m; Kühlschränke; 冰箱; 台; thing repair open
fan; fans; Ventilator; m; Ventilatoren; 风扇; 台; thing switch repair
alarm clock; alarm clocks; Wecker; m; Wecker; 闹钟; 个; thing small repair
coffee machine; coffee machines; Kaffeemaschine; f; Kaffeemaschinen; 咖啡机; 台; thing switch repair
laptop; laptops; Laptop; m; Laptops; 笔记本电脑; 台; thing small switch repair
window; windows; Fenster; n; Fenster; 窗户; 扇; open repair
door; doors; Tür; f; Türen; 门; 扇; open repair
box; boxes; Kiste; f; Kisten; 箱子; 个; thing open
drawer; drawers; Schublade; f; Schubladen; 抽屉; 个; open repair
package; packages; Paket; n; Pakete; 包裹; 个; open small
table; tables; Tisch; m; Tische; 桌子; 张; furniture repair
chair; chairs; Stuhl; m; Stühle; 椅子; 把; furniture repair
bed; beds; Bett; n; Betten; 床; 张; furniture
sofa; sofas; Sofa; n; Sofas; 沙发; 张; furniture
desk; desks; Schreibtisch; m; Schreibtische; 书桌; 张; furniture
shelf; shelves; Regal; n; Regale; 架子; 个; furniture repair
carpet; carpets; Teppich; m; Teppiche; 地毯; 块; furniture
car; cars; Auto; n; Autos; 汽车; 辆; vehicle repair wash
bicycle; bicycles; Fahrrad; n; Fahrräder; 自行车; 辆; vehicle repair
motorcycle; motorcycles; Motorrad; n; Motorräder; 摩托车; 辆; vehicle repair wash
truck; trucks; Lastwagen; m; Lastwagen; 卡车; 辆; vehicle repair wash
boat; boats; Boot; n; Boote; 船; 条; vehicle repair
bus; buses; Bus; m; Busse; 公共汽车; 辆; transport
train; trains; Zug; m; Züge; 火车; 列; transport
tram; trams; Straßenbahn; f; Straßenbahnen; 有轨电车; 辆; transport
taxi; taxis; Taxi; n; Taxis; 出租车; 辆; transport
ferry; ferries; Fähre; f; Fähren; 渡轮; 艘; transport
dog; dogs; Hund; m; Hunde; 狗; 只; animal
cat; cats; Katze; f; Katzen; 猫; 只; animal
horse; horses; Pferd; n; Pferde; 马; 匹; animal
bird; birds; Vogel; m; Vögel; 鸟; 只; animal
rabbit; rabbits; Kaninchen; n; Kaninchen; 兔子; 只; animal
mother; mothers; Mutter; f; Mütter; 妈妈; 个; kin
father; fathers; Vater; m; Väter; 爸爸; 个; kin
sister; sisters; Schwester; f; Schwestern; 姐姐; 个; kin child
brother; brothers; Bruder; m; Brüder; 哥哥; 个; kin child
son; sons; Sohn; m; Söhne; 儿子; 个; kin child
daughter; daughters; Tochter; f; Töchter; 女儿; 个; kin child
grandmother; grandmothers; Großmutter; f; Großmütter; 奶奶; 个; kin
grandfather; grandfathers; Großvater; m; Großväter; 爷爷; 个; kin
uncle; uncles; Onkel; m; Onkel; 叔叔; 个; kin
aunt; aunts; Tante; f; Tanten; 姑姑; 个; kin
friend; friends; Freund; m; Freunde; 朋友; 个; person
colleague; colleagues; Kollege; w; Kollegen; 同事; 位; person
teacher; teachers; Lehrer; m; Lehrer; 老师; 位; person
doctor; doctors; Arzt; m; Ärzte; 医生; 位; person
neighbor; neighbors; Nachbar; w; Nachbarn; 邻居; 位; person
boss; bosses; Chef; m; Chefs; 老板; 位; person
guest; guests; Gast; m; Gäste; 客人; 位; person
child; children; Kind; n; Kinder; 孩子; 个; person
waiter; waiters; Kellner; m; Kellner; 服务员; 位; person
driver; drivers; Fahrer; m; Fahrer; 司机; 位; person
tourist; tourists; Tourist; w; Touristen; 游客; 位; person
girl; girls; Mädchen; n; Mädchen; 女孩; 个; person
boy; boys; Junge; w; Jungen; 男孩; 个; person
woman; women; Frau; f; Frauen; 女人; 个; person
train station; train stations; Bahnhof; m; Bahnhöfe; 火车站; 个; place
airport; airports; Flughafen; m; Flughäfen; 机场; 个; place
hotel; hotels; Hotel; n; Hotels; 酒店; 家; place visit
restaurant; restaurants; Restaurant; n; Restaurants; 餐厅; 家; place visit
museum; museums; Museum; n; Museen; 博物馆; 家; place visit
bank; banks; Bank; f; Banken; 银行; 家; place
post office; post offices; Postamt; n; Postämter; 邮局; 家; place
pharmacy; pharmacies; Apotheke; f; Apotheken; 药店; 家; place
hospital; hospitals; Krankenhaus; n; Krankenhäuser; 医院; 家; place
supermarket; supermarkets; Supermarkt; m; Supermärkte; 超市; 家; place
market; markets; Markt; m; Märkte; 市场; 个; place visit
bakery; bakeries; Bäckerei; f; Bäckereien; 面包店; 家; place
library; libraries; Bibliothek; f; Bibliotheken; 图书馆; 家; place visit
school; schools; Schule; f; Schulen; 学校; 所; place visit
university; universities; Universität; f; Universitäten; 大学; 所; place visit
park; parks; Park; m; Parks; 公园; 个; place visit
church; churches; Kirche; f; Kirchen; 教堂; 座; place visit
theater; theaters; Theater; n; Theater; 剧院; 家; place visit
cinema; cinemas; Kino; n; Kinos; 电影院; 家; place
bookstore; bookstores; Buchhandlung; f; Buchhandlungen; 书店; 家; place visit
café; cafés; Café; n; Cafés; 咖啡馆; 家; place visit
castle; castles; Schloss; n; Schlösser; 城堡; 座; place visit
beach; beaches; Strand; m; Strände; 海滩; 个; place
lake; lakes; See; m; Seen; 湖; 个; place
zoo; zoos; Zoo; m; Zoos; 动物园; 个; place visit
swimming pool; swimming pools; Schwimmbad; n; Schwimmbäder; 游泳池; 个; place
bus stop; bus stops; Bushaltestelle; f; Bushaltestellen; 公共汽车站; 个; place
parking lot; parking lots; Parkplatz; m; Parkplätze; 停车场; 个; place
town hall; town halls; Rathaus; n; Rathäuser; 市政厅; 座; place visit
bridge; bridges; Brücke; f; Brücken; 桥; 座; place
"""))

# Things one drinks or eats without counting: no article.
MASS = _with_classes(_table(Noun, """
coffee; ; Kaffee; m; ; 咖啡; 杯; drink
tea; ; Tee; m; ; 茶; 杯; drink
water; ; Wasser; n; ; 水; 杯; drink
milk; ; Milch; f; ; 牛奶; 杯; drink
beer; ; Bier; n; ; 啤酒; 杯; drink
wine; ; Wein; m; ; 葡萄酒; 杯; drink
juice; ; Saft; m; ; 果汁; 杯; drink
lemonade; ; Limonade; f; ; 柠檬水; 杯; drink
bread; ; Brot; n; ; 面包; 块; eat
cheese; ; Käse; m; ; 奶酪; 块; eat
rice; ; Reis; m; ; 米饭; 碗; eat
meat; ; Fleisch; n; ; 肉; 块; eat
fish; ; Fisch; m; ; 鱼; 块; eat
chocolate; ; Schokolade; f; ; 巧克力; 块; eat
fruit; ; Obst; n; ; 水果; 块; eat
"""))

VERBS = _with_classes(_table(Verb, """
eat; essen; isst; gegessen; h; 吃; food dish eat
drink; trinken; trinkt; getrunken; h; 喝; drink
buy; kaufen; kauft; gekauft; h; 买; food thing furniture vehicle drink eat
sell; verkaufen; verkauft; verkauft; h; 卖; thing furniture vehicle food
order; bestellen; bestellt; bestellt; h; 点; dish drink
cook; kochen; kocht; gekocht; h; 煮; soup
look for; suchen; sucht; gesucht; h; 找; thing small lose place animal
find; finden; findet; gefunden; h; 找到; small lose animal
need; brauchen; braucht; gebraucht; h; 需要; thing small furniture vehicle food
see; sehen; sieht; gesehen; h; 看见; animal person vehicle place
repair; reparieren; repariert; repariert; h; 修理; repair
wash; waschen; wäscht; gewaschen; h; 洗; wear wash
wear; tragen; trägt; getragen; h; 穿; worn
put on; an|ziehen; zieht; angezogen; h; 穿上; worn
take off; aus|ziehen; zieht; ausgezogen; h; 脱下; worn
read; lesen; liest; gelesen; h; 看; read
write; schreiben; schreibt; geschrieben; h; 写; write
sign; unterschreiben; unterschreibt; unterschrieben; h; 签; sign
pay; bezahlen; bezahlt; bezahlt; h; 付; pay
lose; verlieren; verliert; verloren; h; 弄丢; lose
forget; vergessen; vergisst; vergessen; h; 忘带; small lose
open; auf|machen; macht; aufgemacht; h; 打开; open
close; zu|machen; macht; zugemacht; h; 关上; shut
turn on; ein|schalten; schaltet; eingeschaltet; h; 开; switch
turn off; aus|schalten; schaltet; ausgeschaltet; h; 关; switch
bring along; mit|bringen; bringt; mitgebracht; h; 带来; thing small food
pick up; ab|holen; holt; abgeholt; h; 接; kin person
call; an|rufen; ruft; angerufen; h; 给...打电话; kin person
invite; ein|laden; lädt; eingeladen; h; 邀请; kin person
visit; besuchen; besucht; besucht; h; 看望; kin person
tour; besichtigen; besichtigt; besichtigt; h; 参观; visit
meet; treffen; trifft; getroffen; h; 遇见; kin person
ask; fragen; fragt; gefragt; h; 问; kin person
understand; verstehen; versteht; verstanden; h; 理解; kin person
help; helfen; hilft; geholfen; h; 帮助; kin person
thank; danken; dankt; gedankt; h; 感谢; kin person
recommend; empfehlen; empfiehlt; empfohlen; h; 推荐; dish read visit
rent; mieten; mietet; gemietet; h; 租; vehicle
take; nehmen; nimmt; genommen; h; 坐; transport
miss; verpassen; verpasst; verpasst; h; 错过; transport
wait for; warten; wartet; gewartet; h; 等; transport kin person
send; schicken; schickt; geschickt; h; 寄; letter
feed; füttern; füttert; gefüttert; h; 喂; animal
photograph; fotografieren; fotografiert; fotografiert; h; 拍; animal place
draw; zeichnen; zeichnet; gezeichnet; h; 画; animal vehicle place
clean; putzen; putzt; geputzt; h; 擦; furniture windows
"""))

# Verbs whose German object is no plain accusative: dative, or a preposition before it.
GERMAN_OBJECT = {"help": ("", "dat"), "thank": ("", "dat"), "wait for": ("auf", "acc")}

# German ich-forms that are not infinitive stem + e.
ICH = {"füttern": "füttere"}

# English forms that are not regular: third person, past, participle, -ing.
ENGLISH_FORMS = {
    "eat": ("eats", "ate", "eaten", "eating"), "drink": ("drinks", "drank", "drunk", "drinking"),
    "buy": ("buys", "bought", "bought", "buying"), "sell": ("sells", "sold", "sold", "selling"),
    "find": ("finds", "found", "found", "finding"), "see": ("sees", "saw", "seen", "seeing"),
    "wear": ("wears", "wore", "worn", "wearing"), "put": ("puts", "put", "put", "putting"),
    "take": ("takes", "took", "taken", "taking"), "read": ("reads", "read", "read", "reading"),
    "write": ("writes", "wrote", "written", "writing"), "pay": ("pays", "paid", "paid", "paying"),
    "lose": ("loses", "lost", "lost", "losing"), "forget": ("forgets", "forgot", "forgotten", "forgetting"),
    "bring": ("brings", "brought", "brought", "bringing"), "meet": ("meets", "met", "met", "meeting"),
    "understand": ("understands", "understood", "understood", "understanding"),
    "send": ("sends", "sent", "sent", "sending"), "feed": ("feeds", "fed", "fed", "feeding"),
    "draw": ("draws", "drew", "drawn", "drawing"),
}  # fmt: skip

# An attribute in Chinese; the predicate drops its 的. Classes: thing (attribute of things), grade (can be very, more).
ADJECTIVES = _with_classes(_table(Adjective, """
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
expensive; teuer; teurer; 贵的; thing grade
cheap; billig; billiger; 便宜的; thing grade
beautiful; schön; schöner; 漂亮的; thing grade
heavy; schwer; schwerer; 重的; grade
light; leicht; leichter; 轻的; grade
practical; praktisch; praktischer; 实用的; thing grade
modern; modern; moderner; 现代的; place
famous; berühmt; berühmter; 有名的; place
large; groß; größer; 大的; place
quiet; ruhig; ruhiger; 安静的; place
friendly; freundlich; freundlicher; 友好的; person
young; jung; jünger; 年轻的; person
polite; höflich; höflicher; 有礼貌的; person
patient; geduldig; geduldiger; 有耐心的; person
nice; nett; netter; 和善的; person
tired; müde; müder; 累; state
hungry; hungrig; hungriger; 饿; state
thirsty; durstig; durstiger; 渴; state
happy; glücklich; glücklicher; 开心; state
sad; traurig; trauriger; 难过; state
busy; beschäftigt; ; 忙; state
angry; wütend; wütender; 生气; state
nervous; nervös; nervöser; 紧张; state
healthy; gesund; gesünder; 健康; state
punctual; pünktlich; pünktlicher; 准时; state
curious; neugierig; neugieriger; 好奇; state
satisfied; zufrieden; zufriedener; 满意; state
tall; groß; größer; 高; state
strong; stark; stärker; 强壮; state
smart; klug; klüger; 聪明; state
"""))

# Subject pronouns: nominative, accusative, dative of German; person: 1 ich, 3 er/sie, p plural and Sie.
Subject = collections.namedtuple("Subject", "english english_object german accusative dative chinese person")
PRONOUNS = _table(Subject, """
I; me; ich; mich; mir; 我; 1
you; you; Sie; Sie; Ihnen; 您; p
he; him; er; ihn; ihm; 他; 3
she; her; sie; sie; ihr; 她; 3
we; us; wir; uns; uns; 我们; p
they; them; sie; sie; ihnen; 他们; p
""")

NAMES = _table(Word, """
Anna; Anna; 安娜
Paul; Paul; 保罗
Maria; Maria; 玛丽亚
Peter; Peter; 彼得
Lisa; Lisa; 丽莎
Thomas; Thomas; 托马斯
Julia; Julia; 尤利娅
Martin; Martin; 马丁
Sophie; Sophie; 索菲
David; David; 大卫
Emma; Emma; 艾玛
Lukas; Lukas; 卢卡斯
""")

POSSESSIVES = _table(Word, """
my; mein; 我
your; Ihr; 您
his; sein; 他
her; ihr; 她
our; unser; 我们
their; ihr; 他们
""")

CITIES = _table(Word, """
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
""")

LANGUAGES = _table(Word, """
German; Deutsch; 德语
English; Englisch; 英语
Chinese; Chinesisch; 汉语
French; Französisch; 法语
Spanish; Spanisch; 西班牙语
Italian; Italienisch; 意大利语
Russian; Russisch; 俄语
Japanese; Japanisch; 日语
""")

PAST_TIMES = _table(Word, """
yesterday; gestern; 昨天
last week; letzte Woche; 上周
this morning; heute Morgen; 今天早上
last night; gestern Nacht; 昨晚
two days ago; vor zwei Tagen; 两天前
on Monday; am Montag; 星期一
last year; letztes Jahr; 去年
""")

FUTURE_TIMES = _table(Word, """
tomorrow; morgen; 明天
today; heute; 今天
next week; nächste Woche; 下周
tonight; heute Abend; 今晚
the day after tomorrow; übermorgen; 后天
on Friday; am Freitag; 星期五
tomorrow morning; morgen früh; 明天早上
next month; nächsten Monat; 下个月
""")

FREQUENCIES = _table(Word, """
often; oft; 经常
always; immer; 总是
sometimes; manchmal; 有时候
rarely; selten; 很少
usually; normalerweise; 通常
""")

PLEASANTRIES = _table(Word, """
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
""")


def entries():
    """How many lexical entries there are."""
    tables = (NOUNS, MASS, VERBS, ADJECTIVES, PRONOUNS, NAMES, POSSESSIVES, CITIES, LANGUAGES, PAST_TIMES, FUTURE_TIMES,
              FREQUENCIES, PLEASANTRIES)  # fmt: skip
    return sum(map(len, tables))
