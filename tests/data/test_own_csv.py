"""A user's CSV: dialects, columns as inputs, missing values, clients, and one line for what is wrong."""

import bz2
import gzip
import lzma
import statistics

import numpy as np
import pytest
import torch

from gradskew import data
from gradskew.core.errors import InputError
from gradskew.data import CSVFile

ROWS = [  # site, age, sex, died
    ("b", "30", "F", "no"),
    ("a", "41.5", "M", "yes"),
    ("b", "52", "M", "no"),
    ("a", "28", "F", "no"),
    ("b", "77", "F", "yes"),
    ("a", "63", "M", "yes"),
    ("b", "35", "F", "no"),
    ("a", "50", "F", "yes"),
    ("a", "44", "M", "no"),
    ("b", "61", "M", "yes"),
]
HEAD = "site,age,sex,died"
NAME = "(label=died,client=site)"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADSKEW_CACHE", str(tmp_path / "cache"))


def text(rows=ROWS, sep=",", head=HEAD, end="\n"):
    return end.join([head.replace(",", sep), *(sep.join(row) for row in rows)]) + end


def write(folder, content=None, name="h.csv"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else (content or text()).encode())
    return path


def load(folder, content=None, options=NAME, name="h.csv"):
    return data.make(f"csv:{write(folder, content, name)}{options}").load()


def rows_of(dataset):
    """Return the rows of both parts as {(inputs, label, client)}, standardisation undone by hand."""
    found = []
    for split in (dataset.train, dataset.test):
        writers = [None] * len(split) if split.writers is None else split.writers.tolist()
        found += zip(map(tuple, split.inputs.tolist()), split.labels.tolist(), writers, strict=True)
    return found


def raw(folder, content=None, options="(label=died,client=site,standardise=False)", name="h.csv"):
    return sorted(rows_of(load(folder, content, options, name)))


WANTED = sorted(  # age, is F, is M; died: no 0, yes 1; site: a 0, b 1
    ((float(age), float(sex == "F"), float(sex == "M")), int(died == "yes"), int(site == "b"))
    for site, age, sex, died in ROWS
)


def test_columns_become_inputs_labels_and_clients(tmp_path):
    assert raw(tmp_path) == WANTED
    source = data.make(f"csv:{write(tmp_path)}{NAME}")
    assert (source.partition, source.recipe["model"]) == ("writer", "mlp")
    assert source.name == "csv(label=died,client=site)"  # no path
    dataset = source.load()
    assert (dataset.num_classes, dataset.shape) == (2, (3,))
    assert dataset.notes == (
        "read from 'h.csv'",
        "2 columns are inputs: 'age', 'sex'",
        "an input of 0 and 1 for each value of sex (2)",
        "died 'no', 'yes' are classes 0 to 1",
        "the test part is 20 % of each client's rows, evenly over the classes, draw 0",
        "8 training rows, 2 test rows; classes no " + shares(dataset),
        "2 clients with 4 to 4 training rows",
        "inputs of 3, minus the mean and over the standard deviation of each entry of the training rows",
    )


def test_a_test_file_without_clients(tmp_path):
    test = write(tmp_path, text([row[1:] for row in ROWS[:4]], head="age,sex,died"), "test.csv")
    dataset = load(tmp_path, options=f"(label=died,client=site,test={str(test)!r})")
    assert dataset.train.writers.tolist() == [int(site == "b") for site, *_ in ROWS]
    assert (len(dataset.test), dataset.test.writers) == (4, None)


def test_a_file_is_not_its_own_test_file(tmp_path):
    path = write(tmp_path)
    (tmp_path / "link.csv").symlink_to(path)
    for test in (path, tmp_path / "link.csv"):
        with pytest.raises(InputError, match="the test file is the training file"):
            load(tmp_path, options=f"(label=died,client=site,test={str(test)!r})")


def shares(dataset):
    yes = dataset.train.labels.tolist().count(1) / 8
    return f"{100 * (1 - yes):.1f} %, yes {100 * yes:.1f} %"


def test_inputs_are_standardised_by_the_training_rows(tmp_path):
    plain = load(tmp_path, options="(label=died,client=site,standardise=False)")
    made = load(tmp_path)
    for column in range(3):
        values = plain.train.inputs[:, column].tolist()
        mean, std = statistics.fmean(values), statistics.pstdev(values)
        for part in ("train", "test"):
            before, after = (getattr(each, part).inputs[:, column].tolist() for each in (plain, made))
            assert after == pytest.approx([(value - mean) / std for value in before], abs=1e-6)
    assert torch.equal(made.inputs(made.train.inputs), made.train.inputs)  # the network sees them as they are stored


def latin(content):
    return content.replace("site", "café").encode("latin1")


DIALECTS = {
    "semicolons": (text(sep=";"), ""),
    "tabs": (text(sep="\t"), ""),
    "bars": (text(sep="|"), ""),
    "windows": (text(end="\r\n"), ""),
    "a mark of the byte order": (b"\xef\xbb\xbf" + text().encode(), ""),
    "spaces": (text(sep=", "), ""),
    "quoted": (text([(f'"{a}"', b, f'"{c}"', f'"{d}"') for a, b, c, d in ROWS], head='"site",age,"sex","died"'), ""),
    "decimal commas": (text([(a, b.replace(".", ","), c, d) for a, b, c, d in ROWS], sep=";"), ",decimal=','"),
    "utf16": (text().encode("utf16"), ",encoding=utf16"),
    "a named separator": (text(sep="~"), ",sep='~'"),
    "no last line end": (text()[:-1], ""),
    "an empty line": (text().replace("\n", "\n\n", 3), ""),
    "NA elsewhere": (text(head="site,age,sex,died"), ",missing=drop"),
}


@pytest.mark.parametrize(("content", "options"), DIALECTS.values(), ids=DIALECTS)
def test_every_dialect_gives_the_same_rows(tmp_path, content, options):
    assert raw(tmp_path, content, f"(label=died,client=site,standardise=False{options})") == WANTED


@pytest.mark.parametrize(("pack", "name"), [(gzip.compress, "h.csv.gz"), (bz2.compress, "h.csv.bz2")])
def test_packed_files_are_read(tmp_path, pack, name):
    assert raw(tmp_path, pack(text().encode()), name=name) == WANTED


def test_values_with_separators_line_ends_and_quotes(tmp_path):
    odd = ['"x, y"', '"line\none"', '"say ""no"""']
    content = "word,n,y\n" + "".join(f"{odd[i % 3]},{i},{i % 2}\n" for i in range(12))
    dataset = load(tmp_path, content, "(label=y,standardise=False)")
    assert dataset.shape == (4,)
    order = sorted(["x, y", "line\none", 'say "no"'])
    for row, label, _ in rows_of(dataset):
        number = int(row[3])
        assert label == number % 2
        assert order[row[:3].index(1.0)] == ["x, y", "line\none", 'say "no"'][number % 3]


def test_whole_numbers_first_and_fractions_after_a_megabyte(tmp_path):
    """The types of columns are found in the first megabyte."""
    many = 150_000
    content = "x,pad,y\n" + "".join(f"{i % 7},12345678,{i % 2}\n" for i in range(many)) + "2.5,12345678,1\n"
    dataset = load(tmp_path, content, "(label=y,drop=pad,standardise=False)")
    values = torch.cat([dataset.train.inputs, dataset.test.inputs]).flatten()
    assert len(values) == many + 1
    assert values.sum().item() == sum(i % 7 for i in range(many)) + 2.5


def test_columns_may_be_chosen(tmp_path):
    assert load(tmp_path, options="(label=died,client=site,features=age)").shape == (1,)
    assert load(tmp_path, options="(label=died,drop=(site,sex))").shape == (1,)
    codes = text([(a, b, str(i % 3), d) for i, (a, b, _, d) in enumerate(ROWS)])
    assert load(tmp_path, codes, NAME).shape == (2,)
    assert load(tmp_path, codes, "(label=died,client=site,categories=sex)").shape == (4,)


def numbered(head, rows=ROWS):
    """A table with the numbers of its rows in front, as `to_csv` of pandas writes it, under this name."""
    return text([(str(i), *row) for i, row in enumerate(rows)], head=f"{head},{HEAD}")


@pytest.mark.parametrize("head", ["", '""', " ", "Unnamed: 0", "Unnamed: 0.1"])
def test_a_column_without_a_name_is_no_input(tmp_path, head):
    said = f"the column {head.strip(' ' + chr(34))!r} has no name, as an index has none: it is left out"
    assert raw(tmp_path, numbered(head)) == WANTED
    assert load(tmp_path, numbered(head)).notes[1:3] == (said, "2 columns are inputs: 'age', 'sex'")
    test = write(tmp_path, text(ROWS[:2]), "test.csv")  # without an index
    assert load(tmp_path, numbered(head), f"(label=died,client=site,test={str(test)!r})").shape == (3,)


def test_columns_may_have_numbers_for_names(tmp_path):
    """A spectrum: 400.0, 402.5, ..."""
    content = "400.0,402.5,405.0,kind\n" + "".join(f"{i},{i * i},{i % 3},{'ab'[i % 2]}\n" for i in range(10))
    assert load(tmp_path, content, "(label=kind)").shape == (3,)


@pytest.mark.parametrize(("numbers", "said"), [(range(10), True), (range(0, 20, 2), False), ([0, *range(9)], False)])
def test_a_column_that_numbers_the_rows_is_said(tmp_path, numbers, said):
    content = "visit,age,y\n" + "".join(f"{n},{i * i},{i % 2}\n" for i, n in enumerate(numbers))
    notes = load(tmp_path, content, "(label=y)").notes
    assert ("'visit' numbers the rows: if they are ids, drop=COLUMN leaves them out" in notes) is said


def test_a_column_without_a_name_that_an_option_names(tmp_path):
    path = write(tmp_path, numbered(""))
    for option, shape in (("features", 1), ("categories", 1 + 10 + 2)):  # age, ten numbers, two sexes
        assert data.make(f"csv:{path}(label=died,drop=site,{option}='')").load().shape == (shape,)
    with pytest.raises(InputError, match="no column is left for the inputs"):
        data.make(f"csv:{path}(label=died,drop=(site,age,sex))").load()


def test_more_than_one_column_without_a_name(tmp_path):
    content = ",,age,y\n" + "".join(f"{i},{i},{i + 5},{i % 2}\n" for i in range(10))
    found = rows_of(load(tmp_path, content, "(label=y,standardise=False)"))
    assert sorted(found) == [((float(i + 5),), i % 2, None) for i in range(10)]


def test_the_path_may_have_any_characters(tmp_path):
    path = tmp_path / "a (1"
    path.mkdir()
    write(path)
    assert data.make(f"csv:'{path / 'h.csv'}'{NAME}").load().shape == (3,)


def test_many_columns_of_texts_are_not_all_named(tmp_path):
    """A sentence must fit into a record."""
    content = ",".join([*(f"a_column_with_a_long_name_{i}" for i in range(400)), "y"]) + "\n"
    content += "".join(f"{','.join('ab'[i % 3 > 1] for _ in range(400))},{i % 2}\n" for i in range(10))
    said = load(tmp_path, content, "(label=y)").notes[2]
    named = ", ".join(f"a_column_with_a_long_name_{i} (2)" for i in range(10))
    assert said == f"an input of 0 and 1 for each value of {named} and 390 more columns"


def test_many_inputs_are_not_all_named(tmp_path):
    content = ",".join([*(f"x{i}" for i in range(30)), "y"]) + "\n"
    content += "".join(f"{','.join(str(i + j) for j in range(30))},{i % 2}\n" for i in range(10))
    said = load(tmp_path, content, "(label=y)").notes[1]
    assert said == "30 columns are inputs: " + ", ".join(f"'x{i}'" for i in range(10)) + " and 20 more"


def test_a_column_of_true_and_false_is_0_and_1(tmp_path):
    content = "f,y\n" + "".join(f"{['true', 'false'][i % 2]},{i % 2}\n" for i in range(10))
    found = rows_of(load(tmp_path, content, "(label=y,standardise=False)"))
    assert sorted(found) == sorted(((1.0 - i % 2,), i % 2, None) for i in range(10))


def test_labels_that_are_numbers_are_put_in_their_order(tmp_path):
    content = "x,y\n" + "".join(f"{i},{[10, 2, -1][i % 3]}\n" for i in range(12))
    dataset = load(tmp_path, content, "(label=y,standardise=False)")
    wanted = {10: 2, 2: 1, -1: 0}
    assert all(label == wanted[[10, 2, -1][int(x[0]) % 3]] for x, label, _ in rows_of(dataset))
    assert "y -1, 2, 10 are classes 0 to 2" in dataset.notes


def test_ids_with_leading_zeros_are_other_clients(tmp_path):
    content = "c,x,y\n" + "".join(f"{['007', '7', '10'][i % 3]},{i},{i % 2}\n" for i in range(18))
    dataset = load(tmp_path, content, "(label=y,client=c)")
    assert sorted(set(dataset.train.writers.tolist())) == [0, 1, 2]
    content = "c,x,y\n" + "".join(f"{[10, 9, 100][i % 3]},{i},{i % 2}\n" for i in range(18))
    dataset = load(tmp_path, content, "(label=y,client=c,standardise=False)")  # by value: 9, 10, 100
    assert all(client == [1, 0, 2][int(x[0]) % 3] for x, _, client in rows_of(dataset))


GAPS = text([*ROWS, ("a", "", "F", "no"), ("b", "NA", "?", "yes")])


def test_missing_values_are_refused_dropped_or_filled(tmp_path):
    says = (
        r"csv: 2 of 12 rows have no value in 'age' \(2\), 'sex' \(1\), the first of them row 11: missing=drop .*=mean"
    )
    with pytest.raises(InputError, match=says):
        load(tmp_path, GAPS)
    assert raw(tmp_path, GAPS, "(label=died,client=site,standardise=False,missing=drop)") == WANTED
    dropped = load(tmp_path, GAPS, "(label=died,client=site,missing=drop)")
    assert "2 of 12 rows are left out: no value in 'age' (2), 'sex' (1)" in dropped.notes
    filled = load(tmp_path, GAPS, "(label=died,client=site,missing=mean,standardise=False)")
    known = [row[0] for row in filled.train.inputs.tolist() if row[0] in {float(age) for _, age, _, _ in ROWS}]
    odd = [row[0] for row, _, _ in rows_of(filled) if row[0] not in {float(age) for _, age, _, _ in ROWS}]
    assert odd == pytest.approx([statistics.fmean(known)] * 2, rel=1e-6)
    assert "a missing value is the mean of the training rows, in 'age' (2), 'sex' (1)" in filled.notes


def test_a_test_file_is_the_test_part(tmp_path):
    test = write(tmp_path, text([("c", "20", "F", "yes"), ("a", "21", "M", "no")]), "my test, 1.csv")
    dataset = load(tmp_path, options=f"(label=died,client=site,standardise=False,test='{test}')")
    assert len(dataset.train) == 10
    assert dataset.test.inputs.tolist() == [[20, 1, 0], [21, 0, 1]]
    assert dataset.test.labels.tolist() == [1, 0]
    assert dataset.test.writers.tolist() == [2, 0]  # among a, b, c
    source = data.make(f"csv:{tmp_path / 'h.csv'}(label=died,test={test.with_name('t.csv')})")
    assert source.name == "csv(label=died,test=FILE)"


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_a_share_is_drawn_of_each_client_evenly_over_the_classes(tmp_path, share):
    rows = [(f"c{i % 3}", str(i), "F", ["no", "yes"][(i // 3) % 2]) for i in range(180)]
    dataset = load(tmp_path, text(rows), f"(label=died,client=site,features=age,test={share})")
    for client in range(3):
        of = dataset.test.labels[dataset.test.writers == client].tolist()
        assert len(of) == 60 * share
        assert of.count(1) == 30 * share
    again = load(tmp_path, text(rows), f"(label=died,client=site,features=age,test={share})")
    other = load(tmp_path, text(rows), f"(label=died,client=site,features=age,test={share},seed=1)")
    assert torch.equal(again.test.inputs, dataset.test.inputs)
    assert not torch.equal(other.test.inputs, dataset.test.inputs)
    assert len(other.test) == len(dataset.test)


def test_clients_with_one_row(tmp_path):
    content = text([*ROWS, ("lonely", "50", "F", "no")])
    with pytest.raises(InputError, match="client 'lonely' has one row, and it cannot both train and test: min_rows=2"):
        load(tmp_path, content)
    dataset = load(tmp_path, content, "(label=died,client=site,min_rows=2,standardise=False)")
    assert sorted(rows_of(dataset)) == WANTED
    assert "1 client with fewer than 2 rows: left out, 1 row in all" in dataset.notes


def test_images_in_columns(tmp_path):
    head = ",".join(["y", *(f"p{i}" for i in range(6))])
    content = head + "\n" + "".join(f"{i % 2},{','.join(str(10 * i + j) for j in range(6))}\n" for i in range(10))
    dataset = load(tmp_path, content, "(label=y,shape=(2,3),standardise=False)")
    assert dataset.shape == (2, 3)
    first = int(dataset.train.inputs[0, 0, 0])
    assert dataset.train.inputs[0].tolist() == [[first + j for j in range(3)], [first + j for j in range(3, 6)]]
    with pytest.raises(InputError, match="an input has 6 entries: they do not make 2 x 2"):
        load(tmp_path, content, "(label=y,shape=(2,2))")
    with pytest.raises(InputError, match=r"csv: a side in shape must be a whole number, not 2\.5"):
        load(tmp_path, content, "(label=y,shape=2.5)")


def test_a_second_start_reads_the_cache(tmp_path, monkeypatch):
    first = load(tmp_path)
    monkeypatch.setattr(CSVFile, "table", None)
    again = data.make(f"csv:{tmp_path / 'h.csv'}{NAME}").read()
    assert (again.digest, again.notes) == (first.digest, first.notes)
    moved = tmp_path / "elsewhere" / "h.csv"
    moved.parent.mkdir()
    (tmp_path / "h.csv").rename(moved)
    assert data.make("csv" + NAME, folder=moved).read().digest == first.digest  # as --data


def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch):
    path, table = write(tmp_path), CSVFile.table

    def growing(self, read):
        made = table(self, read)
        with path.open("a") as file:
            file.write("a,1,F,no\n")
        return made

    monkeypatch.setattr(CSVFile, "table", growing)
    with pytest.raises(InputError, match=r"csv: '.*h.csv' changed while it was read: run again"):
        data.make(f"csv:{path}{NAME}").load()


WRONG = {
    "no label": (None, "(client=site)", "label=COLUMN names the column of the classes; there are 'site', 'age', 'sex'"),
    "no such label": (
        None,
        "(label=dead)",
        "no column 'dead', which label names; there are 'site', 'age', 'sex', 'die",
    ),
    "no such client": (None, "(label=died,client=ward)", "no column 'ward', which client names; there are"),
    "no such feature": (None, "(label=died,features=(age,bmi))", "no column 'bmi', which features names"),
    "the label as input": (None, "(label=died,features=died)", "'died' is the label or the client: it is no input"),
    "nothing left": (None, "(label=died,drop=(site,age,sex))", "no column is left for the inputs"),
    "one class": (text([(*row[:3], "no") for row in ROWS]), NAME, "'died' has one class only, 'no'"),
    "labels measured": (text([(*r[:3], f"{i}.5") for i, r in enumerate(ROWS)]), NAME, "not whole, such as 0.5"),
    "labels are ids": (text([(*r[:3], f"p{i}") for i, r in enumerate(ROWS)]), NAME, "10 classes in 10 rows"),
    "a class of one row": (text([*ROWS, ("a", "1", "F", "maybe")]), NAME, "class 'maybe' has one row"),
    "a missing label": (
        text([*ROWS, ("a", "1", "F", "")]),
        NAME,
        r"no value in 'died' \(1\), .*missing=drop leaves them o",
    ),
    "mixed": (
        text([*ROWS, ("a", "unknown", "F", "no")]),
        NAME,
        "'age' has numbers, and 1 texts such as 'unknown': drop=age leaves it out, categories=age",
    ),
    "decimal commas": (
        text([(a, f"{b},5", c, d) for a, b, c, d in ROWS if "." not in b], sep=";"),
        NAME,
        "'age' has numbers with commas, such as 30,5: decimal=',' reads them as numbers$",
    ),
    "dates": (
        text([(a, f"2024-01-{i + 10}", c, d) for i, (a, _, c, d) in enumerate(ROWS)]),
        NAME,
        "'age' holds dates or times, neither numbers nor texts: drop=age",
    ),
    "ids": (
        "x,y\n" + "".join(f"patient {i},{i % 2}\n" for i in range(200)),
        "(label=y)",
        "'x' has 200 different texts, more than 100: is it an id",
    ),
    "infinite": (text([*ROWS, ("a", "inf", "F", "no")]), NAME, "'age' has infinite numbers"),
    "no values": (text([(a, "", c, d) for a, _, c, d in ROWS]), NAME, "'age' has no values: drop=age"),
    "a row too long": (text([*ROWS, ("a", "1", "F", "no", "x")]), NAME, "cannot read '.*h.csv': .*Expected 4 columns"),
    "two names": (text(head="site,age,age,died"), NAME, "has 2 columns 'age': give each a name of its own"),
    "no rows": (HEAD + "\n", NAME, "there are no rows"),
    "empty": (b"", NAME, "cannot read '.*h.csv': Empty CSV file"),
    "not text": (b"a\0b,c\n", NAME, "h.csv': it is no text$"),
    "zip": (b"PK\x03\x04\0\0\0\0", NAME, "it is a zip archive, as Excel's files are: unpack it, or save"),
    "xls": (b"\xd0\xcf\x11\xe0\0\0", NAME, "it is a file of Excel: save the table as CSV"),
    "xz": (lzma.compress(text().encode()), NAME, "it is packed with xz: unpack it, or pack it with gzip"),
    "parquet": (b"PAR1\0\0", NAME, "it is a parquet file: write parquet: for csv:"),
    "no line of names": (text(head="a,20.5,F,no"), NAME, "no column 'died'.*: is its first line one of names"),
    "the name of a value": (
        text(head="site,20,F,no"),
        "(label=no,client=site)",
        "'no' is the name of a column and a v",
    ),
    "spaces": (text(sep=" "), NAME, "there are 'site age sex died': sep=CHARACTER names what stands between values"),
    "numbers twice": (text(head="3,3,F,no"), NAME, "has 2 columns '3': is its first line one of names"),
    "thousands": (
        text([(a, f'"{int(float(b))},500.5"', c, d) for a, b, c, d in ROWS]),
        NAME,
        "'age' has numbers with commas, such as 30,500.5: write the numbers without them$",
    ),
    "thousands or decimals": (
        text([(a, f'"{int(float(b))},500"', c, d) for a, b, c, d in ROWS]),
        NAME,
        "such as 30,500: decimal=',' reads them as numbers; if they divide thousands, write the numbers without them$",
    ),
    "utf16": (text().encode("utf16"), NAME, "it is in UTF-16: encoding=utf16 reads it"),
    "latin1": (text([("caf\xe9", *row[1:]) for row in ROWS]).encode("latin1"), NAME, "encoding=latin1"),
    "sep": (None, "(label=died,sep=ab)", "sep must be one character, not 'ab'"),
    "sep is a number": (None, "(label=died,sep=5)", "sep must be one character, not 5"),
    "no decimal": (None, "(label=died,decimal=None)", "decimal must be one character, not None"),
    "a feature twice": (None, "(label=died,features=(age,sex,age))", "features names the column 'age' twice"),
    "encoding": (None, "(label=died,encoding=utf9)", "unknown encoding 'utf9'"),
    "missing": (None, "(label=died,missing=ignore)", "missing must be one of refuse, drop, mean"),
    "test": (None, "(label=died,test=0.9)", "test must be .*0.5"),
    "a test file that is not there": (None, "(label=died,test=nowhere.csv)", "there is no 'nowhere.csv'"),
    "min_rows": (None, "(label=died,min_rows=2)", "min_rows is of clients: client names the column"),
    "train_size": (None, "(label=died,train_size=100)", "train_size = 100, but that part has only 8 inputs"),
}


@pytest.mark.parametrize(("content", "options", "says"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_one_line(tmp_path, content, options, says):
    path = write(tmp_path, b"" if content == b"" else content)
    with pytest.raises(InputError, match=says) as caught:
        data.make(f"csv:{path}{options}").load()
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("csv: ")
    assert len(str(caught.value)) < 500


def test_a_truncated_packed_file(tmp_path):
    path = write(tmp_path, gzip.compress(text().encode() * 50)[:-40], "h.csv.gz")
    with pytest.raises(InputError, match=r"csv: cannot read '.*h.csv.gz'") as caught:
        data.make(f"csv:{path}{NAME}").load()
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"csv: there is no '.*nowhere.csv'"):
        data.make(f"csv:{tmp_path / 'nowhere.csv'}(label=y)").load()
    with pytest.raises(InputError, match=r"csv: '.*' is no file"):
        data.make(f"csv:{tmp_path}(label=y)").load()
    with pytest.raises(
        InputError, match=r"no file is given: write csv:FILE\(label=COLUMN,client=COLUMN\), or .*--data"
    ):
        data.make("csv(label=y)").load()
    with pytest.raises(InputError, match="the path is given twice"):
        data.make("csv:a.csv(label=y)", folder=tmp_path)
    with pytest.raises(InputError, match="csv reads files of your own: there is nothing to download"):
        data.make("csv:a.csv(label=y)", download=True)


@pytest.mark.parametrize("option", ["folder", "rest", "test_file"])
@pytest.mark.parametrize("name", ["csv:{}", "csv", "CSV"])
def test_a_path_is_no_option_of_a_name(tmp_path, option, name):
    says = f"^csv has no option {option}: csv:PATH or --data names the path, test=PATH that of a test part$"
    for value in (repr(str(write(tmp_path))), "5"):
        with pytest.raises(InputError, match=says):
            data.make(f"{name.format(tmp_path / 'h.csv')}(label=died,{option}={value})")


def test_a_path_in_python_may_be_a_text(tmp_path):
    made = CSVFile(folder=str(write(tmp_path)), label="died", client="site")
    assert made.load().digest == load(tmp_path).digest


def test_constant_and_huge_columns(tmp_path):
    content = "c,h,y\n" + "".join(f"0.1,{1.6e9 + i},{i % 2}\n" for i in range(20))
    dataset = load(tmp_path, content, "(label=y)")
    assert dataset.train.inputs[:, 0].tolist() == [0.0] * 16
    values = [1.6e9 + i for i in range(20)]
    ordered = np.sort(torch.cat([dataset.train.inputs[:, 1], dataset.test.inputs[:, 1]]).numpy())
    steps = np.diff(ordered)  # float32 of the numbers themselves would make many of them equal
    assert steps == pytest.approx([steps[0]] * 19, rel=1e-4)
    assert len(set(values)) == len(set(ordered.tolist()))


TEXTS = 'review,verdict\n"ab, é",good\nabcdefgh,bad\nx,bad\n"no, no",good\nyes,good\nz,bad\n'


def test_texts_are_the_inputs_as_bytes(tmp_path):
    """é is the bytes 195 and 169. Of six texts one has more than six bytes."""
    dataset = load(tmp_path, TEXTS, "(label=verdict,text=review,length=6)")
    expected = {
        (97, 98, 44, 32, 195, 169): 1,
        (97, 98, 99, 100, 101, 102): 0,
        (120, 0, 0, 0, 0, 0): 0,
        (110, 111, 44, 32, 110, 111): 1,
        (121, 101, 115, 0, 0, 0): 1,
        (122, 0, 0, 0, 0, 0): 0,
    }
    assert {tuple(inputs): label for inputs, label, _ in rows_of(dataset)} == expected
    assert dataset.train.inputs.dtype == torch.uint8
    assert dataset.scale == 1
    assert not dataset.shift
    assert any("the inputs are the texts 'review', 6 bytes of each: 1 of 6 are cut" in note for note in dataset.notes)
    assert not any("deviation" in note for note in dataset.notes)
    assert data.make(f"csv:{tmp_path / 'h.csv'}(label=verdict,text=review,length=6)").recipe["model"] == "transformer"
    assert data.make(f"csv:{write(tmp_path, name='n.csv')}{NAME}").recipe["model"] == "mlp"


def test_rows_without_a_text(tmp_path):
    gap = TEXTS + ",bad\nw,good\n"
    with pytest.raises(InputError, match=r"1 of 8 rows have no value in 'review' .*missing=drop leaves them out$"):
        load(tmp_path, gap, "(label=verdict,text=review)")
    dataset = load(tmp_path, gap, "(label=verdict,text=review,missing=drop,length=2)")
    assert len(dataset.train) + len(dataset.test) == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("(label=verdict,text=words)", "there is no column 'words', which text names; there are 'review', 'verdict'"),
        ("(label=verdict,text=verdict)", "the column 'verdict' is the label or the client: it is no input"),
        ("(label=verdict,text=review,drop=review)", "drop is of columns that are inputs, and the inputs are the texts"),
        ("(label=verdict,length=5)", "length is of texts: text names their column"),
        ("(label=verdict,text=review,length=0)", "length must be"),
        ("(label=verdict,text=review,missing=mean)", "missing=mean is of columns of numbers, and the inputs are texts"),
        ("(label=verdict)", None),
    ],
)
def test_wrong_columns_of_texts(tmp_path, options, message):
    if message is None:
        load(tmp_path, TEXTS, options)  # few texts are categories
        many = "review,verdict\n" + "".join(f"text {i},{i % 2}\n" for i in range(200))
        with pytest.raises(InputError, match=r"is it an id.*text=review makes the texts the inputs"):
            load(tmp_path, many, options, "many.csv")
        return
    with pytest.raises(InputError, match=message):
        load(tmp_path, TEXTS, options)
