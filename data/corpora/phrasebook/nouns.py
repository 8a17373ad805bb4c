"""The nouns of the phrasebook, as tables of text, in English, German and Chinese.

The fields are: English, its plural, German, its gender, its plural, Chinese, its measure word, and
classes, which say what can be done with the noun. The gender is m, f, n, or w: a masculine of the
weak declension, whose singular has the form of the plural outside the nominative.
"""

import collections

Noun = collections.namedtuple(
    "Noun", "english plural german gender german_plural chinese measure classes"
)


def _table(text):
    rows = [[field.strip() for field in line.split(";")] for line in text.strip().splitlines()]
    return {row[0]: Noun(*row[:-1], frozenset(row[-1].split())) for row in rows}


NOUNS = _table("""
apple; apples; Apfel; m; Äpfel; 苹果; 个; food
banana; bananas; Banane; f; Bananen; 香蕉; 根; food
orange; oranges; Orange; f; Orangen; 橙子; 个; food
pear; pears; Birne; f; Birnen; 梨; 个; food
egg; eggs; Ei; n; Eier; 鸡蛋; 个; food cook
sandwich; sandwiches; Sandwich; n; Sandwiches; 三明治; 个; food dish
pizza; pizzas; Pizza; f; Pizzas; 比萨饼; 张; food dish
cake; cakes; Kuchen; m; Kuchen; 蛋糕; 个; food dish
roll; rolls; Brötchen; n; Brötchen; 小面包; 个; food
steak; steaks; Steak; n; Steaks; 牛排; 块; food dish
salad; salads; Salat; m; Salate; 沙拉; 份; food dish
soup; soups; Suppe; f; Suppen; 汤; 碗; soup cook
noodle soup; noodle soups; Nudelsuppe; f; Nudelsuppen; 汤面; 碗; dish cook
sausage; sausages; Wurst; f; Würste; 香肠; 根; food dish
potato; potatoes; Kartoffel; f; Kartoffeln; 土豆; 个; food cook
tomato; tomatoes; Tomate; f; Tomaten; 西红柿; 个; food
carrot; carrots; Karotte; f; Karotten; 胡萝卜; 根; food
cookie; cookies; Keks; m; Kekse; 饼干; 块; food
lemon; lemons; Zitrone; f; Zitronen; 柠檬; 个; food
peach; peaches; Pfirsich; m; Pfirsiche; 桃子; 个; food
strawberry; strawberries; Erdbeere; f; Erdbeeren; 草莓; 颗; food
pancake; pancakes; Pfannkuchen; m; Pfannkuchen; 煎饼; 张; food dish
hat; hats; Hut; m; Hüte; 帽子; 顶; wear thing
jacket; jackets; Jacke; f; Jacken; 夹克; 件; wear thing clothes
coat; coats; Mantel; m; Mäntel; 大衣; 件; wear thing clothes
shirt; shirts; Hemd; n; Hemden; 衬衫; 件; wear thing clothes
dress; dresses; Kleid; n; Kleider; 连衣裙; 条; wear thing clothes
skirt; skirts; Rock; m; Röcke; 裙子; 条; wear thing clothes
sweater; sweaters; Pullover; m; Pullover; 毛衣; 件; wear thing clothes
scarf; scarves; Schal; m; Schals; 围巾; 条; wear thing
suit; suits; Anzug; m; Anzüge; 西装; 套; wear thing clothes
T-shirt; T-shirts; T-Shirt; n; T-Shirts; T恤; 件; wear thing clothes
blouse; blouses; Bluse; f; Blusen; 女式衬衫; 件; wear thing clothes
raincoat; raincoats; Regenmantel; m; Regenmäntel; 雨衣; 件; wear thing clothes lose
umbrella; umbrellas; Regenschirm; m; Regenschirme; 雨伞; 把; thing small borrow lose
bag; bags; Tasche; f; Taschen; 包; 个; thing small open upright
backpack; backpacks; Rucksack; m; Rucksäcke; 背包; 个; thing small open upright
suitcase; suitcases; Koffer; m; Koffer; 行李箱; 个; thing open shut carry
key; keys; Schlüssel; m; Schlüssel; 钥匙; 把; small lose
watch; watches; Armbanduhr; f; Armbanduhren; 手表; 块; thing small lose
ring; rings; Ring; m; Ringe; 戒指; 枚; thing small lose
wallet; wallets; Portemonnaie; n; Portemonnaies; 钱包; 个; thing small lose
knife; knives; Messer; n; Messer; 刀; 把; thing small
fork; forks; Gabel; f; Gabeln; 叉子; 把; thing small
spoon; spoons; Löffel; m; Löffel; 勺子; 把; thing small
plate; plates; Teller; m; Teller; 盘子; 个; thing small wash upright
glass; glasses; Glas; n; Gläser; 玻璃杯; 个; thing small wash upright
cup; cups; Tasse; f; Tassen; 杯子; 个; thing small wash upright
bottle; bottles; Flasche; f; Flaschen; 瓶子; 个; thing small open upright
basket; baskets; Korb; m; Körbe; 篮子; 个; thing small upright
gift; gifts; Geschenk; n; Geschenke; 礼物; 份; thing small open letter
flower; flowers; Blume; f; Blumen; 花; 朵; thing small
candle; candles; Kerze; f; Kerzen; 蜡烛; 根; thing small upright
towel; towels; Handtuch; n; Handtücher; 毛巾; 条; thing small wash
blanket; blankets; Decke; f; Decken; 毯子; 条; thing wash
pillow; pillows; Kissen; n; Kissen; 枕头; 个; thing
mirror; mirrors; Spiegel; m; Spiegel; 镜子; 面; thing clean
painting; paintings; Gemälde; n; Gemälde; 画; 幅; thing
ball; balls; Ball; m; Bälle; 球; 个; thing small
doll; dolls; Puppe; f; Puppen; 洋娃娃; 个; thing small
guitar; guitars; Gitarre; f; Gitarren; 吉他; 把; thing repair borrow
violin; violins; Geige; f; Geigen; 小提琴; 把; thing repair
pen; pens; Kugelschreiber; m; Kugelschreiber; 圆珠笔; 支; thing small lose
pencil; pencils; Bleistift; m; Bleistifte; 铅笔; 支; thing small
comb; combs; Kamm; m; Kämme; 梳子; 把; thing small
tent; tents; Zelt; n; Zelte; 帐篷; 顶; thing repair borrow
stamp; stamps; Briefmarke; f; Briefmarken; 邮票; 张; thing small
postcard; postcards; Postkarte; f; Postkarten; 明信片; 张; thing small read write letter
city map; city maps; Stadtplan; m; Stadtpläne; 城市地图; 张; thing small print explain lose
book; books; Buch; n; Bücher; 书; 本; thing small read borrow recommend
letter; letters; Brief; m; Briefe; 信; 封; small read write letter
newspaper; newspapers; Zeitung; f; Zeitungen; 报纸; 份; thing small read recommend
magazine; magazines; Zeitschrift; f; Zeitschriften; 杂志; 本; thing small read borrow recommend
e-mail; e-mails; E-Mail; f; E-Mails; 电子邮件; 封; read write print
article; articles; Artikel; m; Artikel; 文章; 篇; read write print explain recommend
novel; novels; Roman; m; Romane; 小说; 本; thing small read borrow recommend
dictionary; dictionaries; Wörterbuch; n; Wörterbücher; 词典; 本; thing small borrow lose
report; reports; Bericht; m; Berichte; 报告; 份; read write sign print explain
poem; poems; Gedicht; n; Gedichte; 诗; 首; read write print explain recommend
menu; menus; Speisekarte; f; Speisekarten; 菜单; 份; small read
travel guide; travel guides; Reiseführer; m; Reiseführer; 旅游指南; 本; thing small read borrow lose recommend
contract; contracts; Vertrag; m; Verträge; 合同; 份; read sign letter print explain
form; forms; Formular; n; Formulare; 表格; 张; read sign letter print explain
passport; passports; Reisepass; m; Reisepässe; 护照; 本; small lose
ticket; tickets; Fahrkarte; f; Fahrkarten; 车票; 张; thing small lose print
bill; bills; Rechnung; f; Rechnungen; 账单; 张; small
credit card; credit cards; Kreditkarte; f; Kreditkarten; 信用卡; 张; small lose
driver's license; driver's licenses; Führerschein; m; Führerscheine; 驾照; 本; small lose
photo; photos; Foto; n; Fotos; 照片; 张; small letter print
lamp; lamps; Lampe; f; Lampen; 灯; 盏; thing switch repair clean
radio; radios; Radio; n; Radios; 收音机; 台; thing switch repair
television; televisions; Fernseher; m; Fernseher; 电视机; 台; thing switch repair carry
computer; computers; Computer; m; Computer; 电脑; 台; thing switch repair
cell phone; cell phones; Handy; n; Handys; 手机; 部; thing small lose switch repair
camera; cameras; Kamera; f; Kameras; 照相机; 台; thing small lose repair borrow
printer; printers; Drucker; m; Drucker; 打印机; 台; thing switch repair
washing machine; washing machines; Waschmaschine; f; Waschmaschinen; 洗衣机; 台; thing switch repair
refrigerator; refrigerators; Kühlschrank; m; Kühlschränke; 冰箱; 台; thing repair open shut clean carry
fan; fans; Ventilator; m; Ventilatoren; 风扇; 台; thing switch repair
alarm clock; alarm clocks; Wecker; m; Wecker; 闹钟; 个; thing small repair upright
coffee machine; coffee machines; Kaffeemaschine; f; Kaffeemaschinen; 咖啡机; 台; thing switch repair
laptop; laptops; Laptop; m; Laptops; 笔记本电脑; 台; thing small switch repair
window; windows; Fenster; n; Fenster; 窗户; 扇; open repair shut clean
door; doors; Tür; f; Türen; 门; 扇; open repair shut clean
box; boxes; Kiste; f; Kisten; 箱子; 个; thing open carry
drawer; drawers; Schublade; f; Schubladen; 抽屉; 个; open repair shut
package; packages; Paket; n; Pakete; 包裹; 个; open small letter carry
table; tables; Tisch; m; Tische; 桌子; 张; furniture repair clean carry
chair; chairs; Stuhl; m; Stühle; 椅子; 把; furniture repair carry
bed; beds; Bett; n; Betten; 床; 张; furniture
sofa; sofas; Sofa; n; Sofas; 沙发; 张; furniture carry
desk; desks; Schreibtisch; m; Schreibtische; 书桌; 张; furniture clean carry
shelf; shelves; Regal; n; Regale; 架子; 个; furniture repair clean
carpet; carpets; Teppich; m; Teppiche; 地毯; 块; furniture
car; cars; Auto; n; Autos; 汽车; 辆; vehicle repair wash borrow
bicycle; bicycles; Fahrrad; n; Fahrräder; 自行车; 辆; vehicle repair borrow
motorcycle; motorcycles; Motorrad; n; Motorräder; 摩托车; 辆; vehicle repair wash
truck; trucks; Lastwagen; m; Lastwagen; 卡车; 辆; vehicle repair wash
boat; boats; Boot; n; Boote; 船; 条; vehicle repair borrow
bus; buses; Bus; m; Busse; 公共汽车; 辆; transport
train; trains; Zug; m; Züge; 火车; 列; transport
tram; trams; Straßenbahn; f; Straßenbahnen; 有轨电车; 辆; transport
taxi; taxis; Taxi; n; Taxis; 出租车; 辆; transport
ferry; ferries; Fähre; f; Fähren; 渡轮; 艘; transport
dog; dogs; Hund; m; Hunde; 狗; 只; animal
cat; cats; Katze; f; Katzen; 猫; 只; animal
horse; horses; Pferd; n; Pferde; 马; 匹; animal
bird; birds; Vogel; m; Vögel; 鸟; 只; animal
cow; cows; Kuh; f; Kühe; 牛; 头; animal
sheep; sheep; Schaf; n; Schafe; 羊; 只; animal
pig; pigs; Schwein; n; Schweine; 猪; 头; animal
duck; ducks; Ente; f; Enten; 鸭子; 只; animal
donkey; donkeys; Esel; m; Esel; 驴; 头; animal
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
friend; friends; Freund; m; Freunde; 朋友; 个; person mine
colleague; colleagues; Kollege; w; Kollegen; 同事; 位; person mine
teacher; teachers; Lehrer; m; Lehrer; 老师; 位; person mine role
doctor; doctors; Arzt; m; Ärzte; 医生; 位; person mine role
neighbor; neighbors; Nachbar; w; Nachbarn; 邻居; 位; person mine
boss; bosses; Chef; m; Chefs; 老板; 位; person mine role
guest; guests; Gast; m; Gäste; 客人; 位; person
child; children; Kind; n; Kinder; 孩子; 个; person
waiter; waiters; Kellner; m; Kellner; 服务员; 位; person role
driver; drivers; Fahrer; m; Fahrer; 司机; 位; person role
tourist; tourists; Tourist; w; Touristen; 游客; 位; person
girl; girls; Mädchen; n; Mädchen; 女孩; 个; person
boy; boys; Junge; w; Jungen; 男孩; 个; person
woman; women; Frau; f; Frauen; 女士; 位; person
train station; train stations; Bahnhof; m; Bahnhöfe; 火车站; 个; place
airport; airports; Flughafen; m; Flughäfen; 机场; 个; place
hotel; hotels; Hotel; n; Hotels; 酒店; 家; place recommend
restaurant; restaurants; Restaurant; n; Restaurants; 餐厅; 家; place recommend
museum; museums; Museum; n; Museen; 博物馆; 座; place visit recommend
bank; banks; Bank; f; Banken; 银行; 家; place
post office; post offices; Postamt; n; Postämter; 邮局; 家; place
pharmacy; pharmacies; Apotheke; f; Apotheken; 药店; 家; place
hospital; hospitals; Krankenhaus; n; Krankenhäuser; 医院; 家; place
supermarket; supermarkets; Supermarkt; m; Supermärkte; 超市; 家; place
market; markets; Markt; m; Märkte; 市场; 个; place
bakery; bakeries; Bäckerei; f; Bäckereien; 面包店; 家; place
library; libraries; Bibliothek; f; Bibliotheken; 图书馆; 座; place visit
school; schools; Schule; f; Schulen; 学校; 所; place
university; universities; Universität; f; Universitäten; 大学; 所; place visit
park; parks; Park; m; Parks; 公园; 个; place
church; churches; Kirche; f; Kirchen; 教堂; 座; place visit
theater; theaters; Theater; n; Theater; 剧院; 家; place visit recommend
cinema; cinemas; Kino; n; Kinos; 电影院; 家; place
bookstore; bookstores; Buchhandlung; f; Buchhandlungen; 书店; 家; place recommend
café; cafés; Café; n; Cafés; 咖啡馆; 家; place recommend
castle; castles; Schloss; n; Schlösser; 城堡; 座; place visit
beach; beaches; Strand; m; Strände; 海滩; 个; place
lake; lakes; See; m; Seen; 湖; 个; place
zoo; zoos; Zoo; m; Zoos; 动物园; 个; place
swimming pool; swimming pools; Schwimmbad; n; Schwimmbäder; 游泳池; 个; place
bus stop; bus stops; Bushaltestelle; f; Bushaltestellen; 公共汽车站; 个; place
parking lot; parking lots; Parkplatz; m; Parkplätze; 停车场; 个; place
town hall; town halls; Rathaus; n; Rathäuser; 市政厅; 座; place visit
bridge; bridges; Brücke; f; Brücken; 桥; 座; place
""")

# Food and drinks that are not counted, and have no article.
MASS = _table("""
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
rice; ; Reis; m; ; 米饭; 碗; eat cook
meat; ; Fleisch; n; ; 肉; 块; eat
fish; ; Fisch; m; ; 鱼; 块; eat
chocolate; ; Schokolade; f; ; 巧克力; 块; eat
fruit; ; Obst; n; ; 水果; 份; eat
""")


def nouns_of(*classes):
    """Returns the countable nouns that are in at least one of the classes, {English: Noun}."""
    return {name: noun for name, noun in NOUNS.items() if noun.classes & set(classes)}
