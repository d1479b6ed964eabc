"""The grammar of names, lists of names, and names of objects."""

import warnings
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradskew import aggregators, attacks, data, models
from gradskew.aggregators import NNM, RFA, RULES, Bucketing, CClip, DnC, Mixed, MultiKrum
from gradskew.attacks import IPM, LIE, ROP, STRIKE, Fang, Gaussian, Mimic, NonFinite
from gradskew.core.errors import InputError, ceil_share, check_choice, check_number
from gradskew.core.grammar import LONGEST, LONGEST_DATASET, format_value, parse, parse_one, split_list
from gradskew.data import FashionMNIST, partition
from gradskew.data.partition import Dirichlet
from gradskew.federation.schema import is_text
from gradskew.models import CNN, MLP

POSITIVE = st.floats(1e-300, 1e300)
FACTOR = st.floats(0, 1e30)
COUNT = st.integers(1, 10**6)
RULE = st.one_of(
    st.builds(RFA, nu=POSITIVE, steps=COUNT, start=st.sampled_from(["mean", "zero"])),
    st.builds(MultiKrum, m=st.none() | COUNT, neighbours=st.sampled_from(["n-f-2", "n-f-1"])),
    st.builds(CClip, tau=POSITIVE),
    st.builds(DnC, iterations=COUNT),
    st.sampled_from([rule for cls in RULES.classes.values() if "clients" not in (rule := cls()).needs]),
)
MIXING = st.one_of(
    st.builds(Bucketing, s=COUNT, told_f=st.sampled_from(["f", "f/s"])), st.builds(NNM, itself=st.booleans())
)
ATTACK = st.one_of(
    st.builds(
        LIE, z=st.none() | st.just("byzpy") | FACTOR, sign=st.sampled_from([1, -1]), ddof=st.sampled_from([0, 1])
    ),
    st.builds(STRIKE, nu=FACTOR, max_alpha=st.none() | POSITIVE),
    st.builds(IPM, epsilon=FACTOR),
    st.builds(Mimic, variant=st.sampled_from(["paper", "strike-authors"])),
    st.builds(Mimic, variant=st.just("index"), index=COUNT),
    st.builds(Gaussian, mu=FACTOR | FACTOR.map(lambda x: -x), sigma=st.just("std") | FACTOR, same=st.booleans()),
    st.builds(NonFinite, value=st.sampled_from(["inf", "-inf", "nan"])),
    st.builds(ROP, z=st.sampled_from([None, "tau"]) | FACTOR, angle=st.floats(-360, 360)),
    st.builds(Fang, b=st.floats(1, 1e30), threshold=st.floats(1e-300, 1e30)),
    st.builds(Fang, target=st.just("krum"), threshold=st.floats(1e-300, 1e30)),
    st.builds(Fang, target=st.just("trim"), b=st.floats(1, 1e30)),
)
MODEL = st.one_of(
    st.builds(MLP, hidden=st.one_of(COUNT, st.lists(COUNT, min_size=1, max_size=4).map(tuple))),
    st.builds(CNN, width=COUNT),
)


@given(st.lists(MIXING, max_size=3), RULE)
def test_the_name_of_a_pipeline_makes_it_again(mixings, rule):
    for mixing in mixings:
        rule = Mixed(mixing=mixing, rule=rule)
    assert aggregators.make(rule.name) == rule


@given(ATTACK)
def test_the_name_of_an_attack_makes_it_again(attack):
    assert attacks.make(attack.name) == attack


@given(MODEL)
def test_the_name_of_a_model_makes_it_again(model):
    assert models.make(model.name) == model


@given(POSITIVE, COUNT)
def test_the_names_of_partitions_and_sources_make_them_again(beta, count):
    dealt = Dirichlet(beta=beta, min_samples=count)
    assert partition.make(dealt.name) == dealt
    assert data.make(FashionMNIST(train_size=count).name) == FashionMNIST(train_size=count)


def test_names_are_short():
    assert LIE().name == "lie"
    assert LIE(z=None, sign=-1).name == "lie(z=None,sign=-1)"
    assert MLP(hidden=(200, 100)).name == "mlp(hidden=(200,100))"
    assert MLP(hidden=7).name == "mlp(hidden=7)"
    pipeline = Mixed(mixing=Bucketing(s=3), rule=Mixed(mixing=NNM(), rule=MultiKrum(neighbours="n-f-1")))
    assert pipeline.name == "bucketing(s=3)+nnm+multikrum(neighbours=n-f-1)"


def test_parse_by_hand():
    assert parse(" nnm + rfa ") == [("nnm", {}), ("rfa", {})]
    assert parse("a(x=1,y=-2.5)+b(z=None)+c()") == [("a", {"x": 1, "y": -2.5}), ("b", {"z": None}), ("c", {})]
    assert parse("a(x=n-f-1, y=f/s, z=lower, w='lower')") == [
        ("a", {"x": "n-f-1", "y": "f/s", "z": "lower", "w": "lower"})
    ]
    assert parse_one("strike-authors(x=a-b)", "attack") == ("strike_authors", {"x": "a-b"})


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("MultiKrum(m=1)+Strike-Authors", [("multikrum", {"m": 1}), ("strike_authors", {})]),
        ("keep(rule=multikrum)+median", [("keep", {"rule": "multikrum"}), ("median", {})]),
        ("gas(base=nnm + median)", [("gas", {"base": "nnm+median"})]),
        ("a(b=c(d=1)+e)", [("a", {"b": "c(d=1)+e"})]),
        ("a(b=c( d = 'x y', e=(1, 2) ), f=2)", [("a", {"b": "c(d='x y',e=(1,2))", "f": 2})]),
        ("a(b=own.rules:Rule(k=1))", [("a", {"b": "own.rules:Rule(k=1)"})]),
        ("nnm+own.rules:Rule(k=1)", [("nnm", {}), ("own.rules:Rule", {"k": 1})]),
        ("a(x='3', y=\"it's\", z='),(')", [("a", {"x": "3", "y": "it's", "z": "),("})]),
        (r"a(x='it\'s', y='C:\data', z='\\')", [("a", {"x": "it's", "y": r"C:\data", "z": "\\"})]),
        ("a(x=(200,100), y=(4,), z=(), w=(5))", [("a", {"x": (200, 100), "y": (4,), "z": (), "w": 5})]),
        ("a(x=1e+20, y=-1e-05, z=.5, w=+2)", [("a", {"x": 1e20, "y": -1e-5, "z": 0.5, "w": 2})]),
        ("a(x=True, y=False, z=none)", [("a", {"x": True, "y": False, "z": "none"})]),
        ("npz:/data/my-file(1).npz", [("npz:/data/my-file(1).npz", {})]),
        ("NPZ: a+b, c.npz (train_size=100)", [("npz:a+b, c.npz", {"train_size": 100})]),
        ("hf:Org/some-name", [("hf:Org/some-name", {})]),
        ("npz:'/a b/x(1)'", [("npz:/a b/x(1)", {})]),
        ('csv: "C:/my files, 1.csv" (label=y)', [("csv:C:/my files, 1.csv", {"label": "y"})]),
        ("csv:'a(1.csv'", [("csv:a(1.csv", {})]),
        ('csv:"a(1.csv" (label=y)', [("csv:a(1.csv", {"label": "y"})]),
        (r"csv:'it\'s)(((.csv'(label='(')", [("csv:it's)(((.csv", {"label": "("})]),
        ("csv:a(test=/x/y-2.csv,label=~/z)", [("csv:a", {"test": "/x/y-2.csv", "label": "~/z"})]),
        ("csv:x(1)(label=')',sep=';')", [("csv:x(1)", {"label": ")", "sep": ";"})]),
    ],
)
def test_more_of_the_grammar_by_hand(text, read):
    assert parse(text) == read


@pytest.mark.parametrize("text", ["none", "None", "NONE", "'none'"])
def test_none_in_any_case_is_no_value_where_there_may_be_none(text):
    assert attacks.make(f"adaptive(cap={text})").name == "adaptive(cap=None)"
    assert attacks.make(f"lie(z={text},sign=-1)") == LIE(z=None, sign=-1)
    assert attacks.make(f"opt(sides={text},tries={text})").name == "opt"
    assert aggregators.make(f"nnm+rfa(tol={text})").name == "nnm+rfa"
    assert data.make(f"fashion_mnist(train_size={text})") == FashionMNIST()
    with pytest.raises(InputError, match="sign must be"):
        attacks.make(f"lie(sign={text})")


def test_a_text_may_be_the_word_none():
    """A folder of that name; only the constant is no folder."""
    assert str(data.make("fashion_mnist(folder=none)").folder) == "none"
    assert data.make("fashion_mnist(folder=None)").folder is None


TEXTS = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"]), max_size=12)
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS)


@given(st.one_of(VALUES, st.lists(VALUES, max_size=3).map(tuple)))
def test_what_is_written_is_read_again(value):
    text = format_value(value)
    again = parse(f"a(x={text},y=1)")[0][1]["x"]
    assert again == value
    assert type(again) is type(value)
    assert split_list(f"a(x={text}),b") == [f"a(x={text})", "b"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "cannot read"),
        ("a+", "cannot read"),
        ("+a", "cannot read"),
        ("a b", "cannot read"),
        ("-a", "cannot read"),
        ("a-", "cannot read"),
        ("a--b", "cannot read"),
        ("a(x=1", "cannot read"),
        ("a.b", "cannot read"),
        ("a[0]", "cannot read"),
        ("a()()", "cannot read"),
        ("3", "cannot read"),
        ("a\0", "cannot read"),
        ("\ud800", "cannot read"),
        ("(" * 400, "cannot read"),
        ("-" * 400 + "a", "cannot read"),
        ("a(x=" + "-" * 400 + "1)", "cannot read"),
        ("a(1)", "written name=value"),
        ("a(*x)", "written name=value"),
        ("a(**x)", "written name=value"),
        ("a" * (LONGEST + 1), "more than 500 characters"),
        ("a(x=3(y=1))", "cannot read"),
        ("a(x=b(y))", "options of b are written name=value"),
        ("a(b=" * 50 + "1" + ")" * 50, "cannot read"),
        ("a(x=" + "(" * 400, "cannot read"),
        ("a(x='b)", "x must be a number, a word, a name or a text in quotes"),
        ("a(x='\n')", "x has characters that cannot be printed"),
        ("npz:", "nothing follows npz:"),
        ("npz:(x=1)", "nothing follows npz:"),
        ("npz:a(1)", "options of npz are written name=value"),
        ("nnm+npz:a", "cannot read"),
    ],
)
def test_what_cannot_be_read_is_one_error(text, says):
    with pytest.raises(InputError, match=says) as caught:
        parse(text)
    assert len(str(caught.value)) < 250


def test_a_data_set_may_list_many_columns():
    columns = tuple(f"column_number_{i}" for i in range(500))
    text = f"csv(label=y,features=({','.join(columns)}))"
    assert LONGEST < len(text) < LONGEST_DATASET
    assert parse_one(text, "dataset") == ("csv", {"label": "y", "features": columns})
    assert data.make(text).name == text
    assert is_text(text)  # a record may have it
    with pytest.raises(InputError, match="has more than 10000 characters"):
        parse_one(text.ljust(LONGEST_DATASET + 1), "dataset")
    with pytest.raises(InputError, match="has more than 500 characters"):
        parse_one(text, "model")


def test_an_option_given_twice():
    with pytest.raises(InputError):
        parse("lie(z=1,z=2)")


def test_odd_literals_warn_of_nothing():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for text in ("a(x=1or 2)", "a(x='\\d')", "a(x=1 is 1)", "a(x=0x1for x in y)"):
            with suppress(InputError):
                parse(text)
    assert not caught


MAKERS = [
    attacks.make,
    aggregators.make,
    models.make,
    partition.make,
    data.make,
    parse,
    split_list,
    lambda text: parse_one(text, "attack"),
    lambda text: attacks.make(f"lie(z={text})"),
    lambda text: aggregators.make(f"bucketing(s={text})+multikrum(m={text},neighbours={text})"),
    lambda text: models.make(f"mlp(hidden={text})"),
    lambda text: attacks.make(f"strike({text})"),
]
GRAMMAR = st.text(alphabet="abmnlie()+-*/=,.:'\"[]{}0123456789 \t\n_\\\0nf#@!~^&|<>λ", max_size=40)


@pytest.mark.parametrize("make", MAKERS)
@given(text=st.one_of(st.text(max_size=60), GRAMMAR))
def test_any_text_gives_an_object_or_a_value_error(make, text):
    with suppress(ValueError):
        assert make(text) is not None


def test_nothing_is_evaluated(tmp_path):
    flag = tmp_path / "flag"
    for text in (f"lie(z=open({str(flag)!r},'w'))", f"lie(z=[open({str(flag)!r},'w') for i in '1'])"):
        with pytest.raises(InputError):
            attacks.make(text)
    assert not flag.exists()


@pytest.mark.parametrize(
    ("make", "text", "says"),
    [
        (attacks.make, "strik", "did you mean 'strike'"),
        (attacks.make, "lie(z={[]: 1})", "z must be a number"),
        (attacks.make, "STRIK", "did you mean 'strike'"),
        (attacks.make, "xyzzyq", "known: none, bitflip, labelflip, lie, ipm, minmax, minsum, mimic, strike"),
        (aggregators.make, "medain", "did you mean 'median'"),
        (aggregators.make, "bucketting+mean", "did you mean 'bucketing'"),
        (aggregators.make, "median(midle=lower)", "did you mean 'middle'"),
        (aggregators.make, "cge(s=1)", "known: none"),
        (aggregators.make, "nnm", "stands before a rule"),
        (aggregators.make, "median+nnm", "stands before a rule"),
        (aggregators.make, "median+mean", "median is a rule and stands last"),
        (
            attacks.make,
            "lie+ipm",
            r"^lie\+ipm: an attack on training, such as labelflip, comes first, then one on rows",
        ),
        (models.make, "linear+mlp", "a model is one name, not several"),
        (aggregators.make, "krum(m=2)", r"krum is multikrum with m=1: it takes no other m"),
        (aggregators.make, "krum(n=2)", "unknown option of krum 'n'"),
        (aggregators.make, "Multi-Krumm", "unknown rule 'multi_krumm'; did you mean 'multikrum'"),
        (aggregators.make, "trimmed-meen", r"did you mean 'trimmed_mean' \(rbtm\)\?"),
        (aggregators.make, "geometric-medien", r"did you mean 'geometric_median' \(rfa\)\?"),
        (aggregators.make, "kruum", r"did you mean 'krum' \(multikrum\(m=1\)\)\?"),
        (attacks.make, "sign-fliping", r"did you mean 'sign_flipping' \(bitflip\)\?"),
        (models.make, "mpl", "did you mean 'mlp'"),
    ],
)
def test_a_wrong_name_names_the_nearest(make, text, says):
    with pytest.raises(InputError, match=says):
        make(text)


def test_presets():
    assert attacks.make("strike", preset="strike-authors").max_alpha == 10
    assert attacks.make("strike(max_alpha=3.0)", preset="strike-authors").max_alpha == 3
    assert aggregators.make("rfa", preset="byzfl") == RFA(start="zero", steps=3, nu=0.1)
    with pytest.raises(InputError, match="did you mean 'paper'"):
        attacks.make("strike", preset="papre")


def test_split_list_by_hand():
    assert split_list("a") == ["a"]
    assert split_list("a, b(x=1,y=(2,3)) ,c") == ["a", "b(x=1,y=(2,3))", "c"]
    for text in ("", ",", "a,", ",a", "a,,b", "a, ,b"):
        with pytest.raises(InputError, match="empty entry in attacks"):
            split_list(text, "attacks")
    with pytest.raises(InputError, match="given twice"):
        split_list("a,b,a")


WORD = st.from_regex(r"[a-z]{1,5}(\([a-z]=[0-9](,[a-z]=\([0-9],[0-9]\))?\))?", fullmatch=True)


@given(st.lists(WORD, min_size=1, unique=True))
def test_split_list_undoes_a_join(words):
    assert split_list(",".join(words)) == words


@pytest.mark.parametrize(
    ("value", "limits", "good"),
    [
        (1, {}, True),
        (1.5, {}, True),
        (np.int64(1), {"whole": True}, True),
        (np.array(1), {"whole": True}, True),
        (np.float16(0.5), {"below": 1}, True),
        (np.float32("nan"), {}, False),
        (np.float64(1), {"whole": True}, False),
        (np.bool_(True), {}, False),
        (np.array([1]), {}, False),
        (-1e308, {}, True),
        (True, {}, False),
        ("1", {}, False),
        (None, {}, False),
        (float("nan"), {}, False),
        (float("inf"), {}, False),
        (10**400, {}, False),
        (10**400, {"whole": True}, True),
        (1.0, {"whole": True}, False),
        (0, {"above": 0}, False),
        (0, {"at_least": 0}, True),
        (1, {"below": 1}, False),
        (1, {"at_most": 1}, True),
        (-(10**400), {"whole": True, "at_least": 0}, False),
    ],
)
def test_check_number(value, limits, good):
    if good:
        found = check_number("x", value, **limits)
        assert type(found) in (int, float)
        assert found == value
    else:
        with pytest.raises(InputError, match="x must be "):
            check_number("x", value, **limits)


def test_a_share_of_float32_is_the_decimal_that_was_written():
    for percent in range(1, 100):
        assert ceil_share(float(np.float32(percent / 100)), 100) == percent
    assert ceil_share(1e-9, 10) == 1
    assert ceil_share(0.1 + 1e-7, 10) == 2


def test_check_choice_tells_true_from_one():
    check_choice("x", True, (False, True))
    for value in (1, "True", None, [], {}):
        with pytest.raises(InputError, match="x must be one of False, True"):
            check_choice("x", value, (False, True))


@given(st.integers(0, 99), st.integers(0, 10**6))
def test_ceil_share_rounds_the_written_decimal_up(percent, count):
    assert ceil_share(percent / 100, count) == -(-percent * count // 100)
