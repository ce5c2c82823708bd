"""German words of the embedded corpus, by concept."""

from __future__ import annotations

from typing import NamedTuple


class Noun(NamedTuple):
    """Singular, gender ("m", "f" or "n") and plural."""

    singular: str
    gender: str
    plural: str


class Verb(NamedTuple):
    """The parts of a verb.

    Attributes:
        infinitive: without the separable particle.
        third: third person singular, present.
        participle: with the particle, as it is written.
        particle: "" where the verb has none.
        auxiliary: "haben" or "sein".
        dative: whether the object is in the dative.
    """

    infinitive: str
    third: str
    participle: str
    particle: str
    auxiliary: str
    dative: bool


_NOUNS = """
teacher Lehrer m Lehrer; woman Frau f Frauen; man Mann m Männer; child Kind n Kinder; girl Mädchen n Mädchen
doctor Arzt m Ärzte; friend Freund m Freunde; mother Mutter f Mütter; father Vater m Väter; brother Bruder m Brüder
sister Schwester f Schwestern; daughter Tochter f Töchter; son Sohn m Söhne; uncle Onkel m Onkel; aunt Tante f Tanten
baker Bäcker m Bäcker; cook Köchin f Köchinnen; driver Fahrer m Fahrer; painter Maler m Maler
singer Sängerin f Sängerinnen; waiter Kellner m Kellner; farmer Bäuerin f Bäuerinnen
nurse Krankenschwester f Krankenschwestern; engineer Ingenieurin f Ingenieurinnen; writer Autorin f Autorinnen
grandmother Großmutter f Großmütter; grandfather Großvater m Großväter; king König m Könige; queen Königin f Königinnen
guest Gast m Gäste; judge Richter m Richter; thief Dieb m Diebe; player Spieler m Spieler; pupil Schüler m Schüler
neighbour Nachbarin f Nachbarinnen; tourist Urlauber m Urlauber
dog Hund m Hunde; cat Katze f Katzen; horse Pferd n Pferde; bird Vogel m Vögel; cow Kuh f Kühe; mouse Maus f Mäuse
book Buch n Bücher; letter Brief m Briefe; newspaper Zeitung f Zeitungen; story Geschichte f Geschichten
poem Gedicht n Gedichte; report Bericht m Berichte; card Karte f Karten
apple Apfel m Äpfel; cake Kuchen m Kuchen; egg Ei n Eier; sausage Wurst f Würste; pear Birne f Birnen
potato Kartoffel f Kartoffeln; tomato Tomate f Tomaten; carrot Möhre f Möhren; soup Suppe f Suppen
banana Banane f Bananen
hat Hut m Hüte; coat Mantel m Mäntel; shirt Hemd n Hemden; dress Kleid n Kleider; shoe Schuh m Schuhe
lamp Lampe f Lampen; computer Rechner m Rechner; phone Telefon n Telefone; camera Kamera f Kameras
door Tür f Türen; window Fenster n Fenster; bottle Flasche f Flaschen; box Kiste f Kisten; bag Tasche f Taschen
car Auto n Autos; bicycle Fahrrad n Fahrräder; chair Stuhl m Stühle; table Tisch m Tische; picture Bild n Bilder
knife Messer n Messer; spoon Löffel m Löffel; fork Gabel f Gabeln; cup Tasse f Tassen; glass Glas n Gläser
plate Teller m Teller; flower Blume f Blumen; ball Ball m Bälle; key Schlüssel m Schlüssel; guitar Gitarre f Gitarren
boat Boot n Boote; stone Stein m Steine; gift Geschenk n Geschenke; ring Ring m Ringe; mirror Spiegel m Spiegel
kitchen Küche f Küchen; garden Garten m Gärten; house Haus n Häuser; school Schule f Schulen; city Stadt f Städte
village Dorf n Dörfer; park Park m Parks; forest Wald m Wälder; room Zimmer n Zimmer; hotel Hotel n Hotels
restaurant Restaurant n Restaurants; museum Museum n Museen; shop Laden m Läden; church Kirche f Kirchen
office Büro n Büros; library Bibliothek f Bibliotheken; hospital Krankenhaus n Krankenhäuser; theatre Theater n Theater
cellar Keller m Keller; tower Turm m Türme; castle Schloss n Schlösser; bakery Bäckerei f Bäckereien
factory Fabrik f Fabriken
"""

_VERBS = """
sleep schlafen schläft geschlafen; fall_asleep ein|schlafen schläft eingeschlafen sein
get_up auf|stehen steht aufgestanden sein; arrive an|kommen kommt angekommen sein; laugh lachen lacht gelacht
cry weinen weint geweint; wait warten wartet gewartet; swim schwimmen schwimmt geschwommen sein
play spielen spielt gespielt; dream träumen träumt geträumt; disappear verschwinden verschwindet verschwunden sein
come_back zurück|kommen kommt zurückgekommen sein; work arbeiten arbeitet gearbeitet; dance tanzen tanzt getanzt
sing singen singt gesungen; go_out aus|gehen geht ausgegangen sein
go gehen geht gegangen sein; run laufen läuft gelaufen sein; come kommen kommt gekommen sein
go_back zurück|gehen geht zurückgegangen sein; drive fahren fährt gefahren sein; travel reisen reist gereist sein
see sehen sieht gesehen; hear hören hört gehört; find finden findet gefunden; love lieben liebt geliebt
call an|rufen ruft angerufen; help helfen hilft geholfen haben dative; pick_up ab|holen holt abgeholt
greet begrüßen begrüßt begrüßt; look_for suchen sucht gesucht; follow folgen folgt gefolgt sein dative
admire bewundern bewundert bewundert; wake_up auf|wecken weckt aufgeweckt; feed füttern füttert gefüttert
photograph fotografieren fotografiert fotografiert
invite ein|laden lädt eingeladen; visit besuchen besucht besucht; know kennen kennt gekannt
meet treffen trifft getroffen; thank danken dankt gedankt haben dative; introduce vor|stellen stellt vorgestellt
read lesen liest gelesen; write schreiben schreibt geschrieben; translate übersetzen übersetzt übersetzt
copy_out ab|schreiben schreibt abgeschrieben; eat essen isst gegessen; smell riechen riecht gerochen
bake backen backt gebacken; cook kochen kocht gekocht; cut_up auf|schneiden schneidet aufgeschnitten
put_on an|ziehen zieht angezogen; take_off aus|ziehen zieht ausgezogen; wash waschen wäscht gewaschen
turn_on an|machen macht angemacht; turn_off aus|machen macht ausgemacht; repair reparieren repariert repariert
open auf|machen macht aufgemacht; close zu|machen macht zugemacht
buy kaufen kauft gekauft; sell verkaufen verkauft verkauft; throw_away weg|werfen wirft weggeworfen
take_along mit|nehmen nimmt mitgenommen; steal stehlen stiehlt gestohlen; carry tragen trägt getragen
lose verlieren verliert verloren; forget vergessen vergisst vergessen; use benutzen benutzt benutzt
need brauchen braucht gebraucht; hide verstecken versteckt versteckt; count zählen zählt gezählt
draw zeichnen zeichnet gezeichnet; bring_along mit|bringen bringt mitgebracht
try_out aus|probieren probiert ausprobiert; describe beschreiben beschreibt beschrieben
clean putzen putzt geputzt; tidy_up auf|räumen räumt aufgeräumt; leave verlassen verlässt verlassen
paint an|malen malt angemalt
give geben gibt gegeben; show zeigen zeigt gezeigt; send schicken schickt geschickt; bring bringen bringt gebracht
lend leihen leiht geliehen; read_out vor|lesen liest vorgelesen; explain erklären erklärt erklärt
say sagen sagt gesagt; believe glauben glaubt geglaubt; hope hoffen hofft gehofft; think denken denkt gedacht
notice bemerken bemerkt bemerkt; claim behaupten behauptet behauptet; promise versprechen verspricht versprochen
"""

_WORDS = """
old alt; young jung; big groß; small klein; friendly freundlich; tired müde; happy glücklich; sad traurig; rich reich
poor arm; famous berühmt; quiet ruhig; loud laut; strong stark; weak schwach; clever klug; brave mutig
hungry hungrig; lazy faul; polite höflich; new neu; red rot; blue blau; green grün; white weiß; black schwarz
yellow gelb; beautiful schön; expensive teuer; cheap billig; heavy schwer; dirty schmutzig; strange seltsam
fresh frisch; sweet süß; hot heiß; cold kalt; warm warm; modern modern; dark dunkel; clean sauber; empty leer
quickly schnell; slowly langsam; quietly leise; loudly lautstark; gladly gern; carefully vorsichtig; often oft
alone allein; immediately sofort
because weil; if wenn; although obwohl; while während; before bevor; can kann; must muss; should soll; may darf
Monday Montag; Tuesday Dienstag; Wednesday Mittwoch; Thursday Donnerstag; Friday Freitag; Saturday Samstag
Sunday Sonntag; January Januar; February Februar; March März; April April; May Mai; June Juni; July Juli
August August; September September; October Oktober; November November; December Dezember
today heute; yesterday gestern; tomorrow morgen; now jetzt; soon bald
day Tag; week Woche; year Jahr; evening Abend; morning Morgen
I ich; he er; she sie; we wir; they sie
"""


def _rows(table: str) -> list[list[str]]:
    return [row.split() for row in table.replace("\n", ";").split(";") if row.strip()]


def _verb(infinitive: str, third: str, participle: str, auxiliary: str = "haben", case: str = "") -> Verb:
    particle, _, stem = infinitive.rpartition("|")
    return Verb(stem, third, participle, particle, auxiliary, case == "dative")


NOUNS = {concept: Noun(*forms) for concept, *forms in _rows(_NOUNS)}
VERBS = {concept: _verb(*forms) for concept, *forms in _rows(_VERBS)}
WORDS = {concept: word for concept, word in _rows(_WORDS)}
# Adjectives that lose a vowel before an ending.
STEMS = {"teuer": "teur", "dunkel": "dunkl", "sauber": "saubr"}
