"""Korean words of the embedded corpus, by concept."""

from __future__ import annotations

from seq2seq_fast.data.grammar.hangul import Stem, stem

_NOUNS = """
teacher 선생님; woman 여자; man 남자; child 아이; girl 소녀; doctor 의사; friend 친구; mother 어머니
father 아버지; brother 형제; sister 자매; daughter 딸; son 아들; uncle 삼촌; aunt 이모; baker 제빵사
cook 요리사; driver 운전사; painter 화가; singer 가수; waiter 종업원; farmer 농부; nurse 간호사
engineer 기술자; writer 작가; grandmother 할머니; grandfather 할아버지; king 왕; queen 왕비; guest 손님
judge 판사; thief 도둑; player 선수; pupil 학생; neighbour 이웃; tourist 관광객; dog 개; cat 고양이; horse 말
bird 새; cow 소; mouse 쥐; book 책; letter 편지; newspaper 신문; story 이야기; poem 시; report 보고서
card 카드; apple 사과; cake 케이크; egg 달걀; sausage 소시지; pear 배; potato 감자; tomato 토마토; carrot 당근
soup 수프; banana 바나나; hat 모자; coat 외투; shirt 셔츠; dress 원피스; shoe 구두; lamp 등불; computer 컴퓨터
phone 전화기; camera 사진기; door 문; window 창문; bottle 병; box 상자; bag 가방; car 자동차; bicycle 자전거
chair 의자; table 식탁; picture 그림; knife 칼; spoon 숟가락; fork 포크; cup 컵; glass 유리잔; plate 접시
flower 꽃; ball 공; key 열쇠; guitar 기타; boat 보트; stone 돌; gift 선물; ring 반지; mirror 거울
kitchen 부엌; garden 정원; house 집; school 학교; city 도시; village 마을; park 공원; forest 숲; room 방
hotel 호텔; restaurant 식당; museum 박물관; shop 가게; church 교회; office 사무실; library 도서관
hospital 병원; theatre 극장; cellar 지하실; tower 탑; castle 성; bakery 빵집; factory 공장; Anna 안나
Peter 페터; Maria 마리아; Paul 파울; Lena 레나; Thomas 토마스; Julia 율리아; Felix 펠릭스; Sophie 소피
Lukas 루카스; Clara 클라라; David 다비트; Emma 에마; Martin 마르틴; Laura 라우라; Simon 지몬; I 저; he 그
she 그녀; we 우리; they 그들
"""

# Concept, stem, form in 아 or 어, and where it is irregular the stem before 으; "+" marks an object with 에게.
_VERBS = """
sleep 자 자; fall_asleep 잠들 잠들어; get_up 일어나 일어나; arrive 도착하 도착해; laugh 웃 웃어; cry 울 울어
wait 기다리 기다려; swim 헤엄치 헤엄쳐; play 놀 놀아; dream 꿈꾸 꿈꿔; disappear 사라지 사라져
come_back 돌아오 돌아와; work 일하 일해; dance 춤추 춤춰; sing 노래하 노래해; go_out 나가 나가; go 가 가
run 뛰어가 뛰어가; come 오 와; go_back 돌아가 돌아가; drive 운전해가 운전해가; travel 여행하 여행해; see 보 봐
hear 듣 들어 들으; find 발견하 발견해; love 사랑하 사랑해; call 전화하 전화해 +; help 돕 도와 도우
pick_up 데리러가 데리러가; greet 인사하 인사해 +; look_for 찾 찾아; follow 따라가 따라가; admire 존경하 존경해
wake_up 깨우 깨워; photograph 촬영하 촬영해; feed 먹이 먹여; invite 초대하 초대해; visit 방문하 방문해
know 알 알아; meet 만나 만나; thank 감사하 감사해 +; introduce 소개하 소개해; read 읽 읽어; write 쓰 써
translate 번역하 번역해; copy_out 베끼 베껴; eat 먹 먹어; smell 맡 맡아; bake 굽 구워 구우; cook 요리하 요리해
cut_up 자르 잘라; put_on 입 입어; take_off 벗 벗어; wash 빨 빨아; turn_on 켜 켜; turn_off 끄 꺼
repair 고치 고쳐; open 열 열어; close 닫 닫아; buy 사 사; sell 팔 팔아; throw_away 버리 버려
take_along 챙기 챙겨; steal 훔치 훔쳐; carry 나르 날라; lose 잃어버리 잃어버려; forget 잊 잊어
use 사용하 사용해; need 필요로하 필요로해; hide 숨기 숨겨; count 세 세; draw 그리 그려
bring_along 가져오 가져와; try_out 시험하 시험해; describe 묘사하 묘사해; clean 청소하 청소해
tidy_up 정리하 정리해; leave 떠나 떠나; paint 칠하 칠해; give 주 줘; show 보여주 보여줘; send 보내 보내
bring 갖다주 갖다줘; lend 빌려주 빌려줘; read_out 읽어주 읽어줘; explain 설명하 설명해; say 말하 말해
believe 믿 믿어; hope 바라 바라; think 생각하 생각해; notice 느끼 느껴; claim 주장하 주장해
promise 약속하 약속해
"""

_ADJECTIVES = """
old 늙 늙어; old_thing 낡 낡아; young 젊 젊어; big 크 커; small 작 작아; friendly 친절하 친절해
tired 피곤하 피곤해; happy 행복하 행복해; sad 슬프 슬퍼; rich 부유하 부유해; poor 가난하 가난해
famous 유명하 유명해; quiet 조용하 조용해; loud 시끄럽 시끄러워 시끄러우; strong 강하 강해; weak 약하 약해
clever 똑똑하 똑똑해; brave 용감하 용감해; hungry 배고프 배고파; lazy 게으르 게을러; polite 예의바르 예의발라
new 새롭 새로워 새로우; red 붉 붉어; blue 푸르 푸르러; green 초록빛이 초록빛이어; white 희 희어; black 검 검어
yellow 노랗 노래 노라; beautiful 아름답 아름다워 아름다우; expensive 비싸 비싸; cheap 싸 싸
heavy 무겁 무거워 무거우; strange 이상하 이상해; fresh 신선하 신선해; sweet 달콤하 달콤해
hot 뜨겁 뜨거워 뜨거우; cold 차갑 차가워 차가우; modern 현대적이 현대적이어; dark 어둡 어두워 어두우
clean 깨끗하 깨끗해; dirty 더럽 더러워 더러우; empty 한산하 한산해; warm 따뜻하 따뜻해
"""

_ADVERBS = """
quickly 빨리; slowly 천천히; quietly 조용히; loudly 크게; gladly 기꺼이; carefully 조심스럽게; often 자주
alone 혼자; immediately 즉시; today 오늘; yesterday 어제; tomorrow 내일; now 지금; soon 곧; day 매일
week 매주; year 매년; evening 저녁마다; morning 아침마다; Monday 월요일; Tuesday 화요일; Wednesday 수요일
Thursday 목요일; Friday 금요일; Saturday 토요일; Sunday 일요일
"""


def _rows(table: str) -> list[list[str]]:
    return [row.split() for row in table.replace("\n", ";").split(";") if row.strip()]


NOUNS = {concept: word for concept, word in _rows(_NOUNS)}
ADVERBS = {concept: word for concept, word in _rows(_ADVERBS)}
VERBS: dict[str, Stem] = {row[0]: stem(*[part for part in row[1:] if part != "+"]) for row in _rows(_VERBS)}
TO_SOMEONE = {row[0] for row in _rows(_VERBS) if row[-1] == "+"}
ADJECTIVES: dict[str, Stem] = {
    row[0]: stem(*row[1:], kind="copula" if row[1].endswith("이") else "adjective") for row in _rows(_ADJECTIVES)
}
