"""The cases that Airflow's own configuration parser answers: a file, an environment, and the option that is asked for.

A command of a case prints something: one that prints nothing counts as absent in the file, and only who runs it knows.
"""

PATH = ("common.io", "xcom_objectstorage_path")
THRESHOLD = ("common.io", "xcom_objectstorage_threshold")
COMPRESSION = ("common.io", "xcom_objectstorage_compression")
BACKEND = ("core", "xcom_backend")
CONN = ("database", "sql_alchemy_conn")
SCHEMA = ("database", "sql_alchemy_schema")
BASE_URL = ("api", "base_url")
OLD_BASE_URL = ("webserver", "base_url")

PATH_VARIABLE = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH"
THRESHOLD_VARIABLE = "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD"
CONN_VARIABLE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
OLD_CONN_VARIABLE = "AIRFLOW__CORE__SQL_ALCHEMY_CONN"
SECRETS_VARIABLE = "AIRFLOW__SECRETS__BACKEND"
SECRETS = "config_backend.Backend"

CASES: list[dict] = []


def case(file, option=PATH, env=None, number=False):
    section, key = option
    CASES.append({"file": file, "env": env or {}, "section": section, "key": key, "number": number})


def path(*lines, env=None):
    """The path out of a file whose section `common.io` has these lines."""
    case("\n".join(["[common.io]", *lines]) + "\n", env=env)


def value(text, env=None):
    path(f"xcom_objectstorage_path = {text}", env=env)


def threshold(text, env=None):
    case(f"[common.io]\nxcom_objectstorage_threshold = {text}\n", THRESHOLD, env, number=True)


# Files that are nothing, and files that are broken.
for file in [
    "", "\n", "# a comment\n", "[common.io]\n", "[common.io]", "no header\n", "xcom_objectstorage_path = s3://b\n",
    "\ufeff[common.io]\nxcom_objectstorage_path = s3://b\n", "\ufeff# comment\n[common.io]\nxcom_objectstorage_path = s3://b\n",
    "\ufeff\n[common.io]\nxcom_objectstorage_path = s3://b\n",
    "[common.io]\n\ufeffxcom_objectstorage_path = s3://b\n", "[common.io]\nxcom_objectstorage_path = \ufeffs3://b\ufeff\n",
    "[common.io]\nxcom_objectstorage_path\n", "[common.io]\nxcom_objectstorage_path s3://b\n", "[common.io]\nxcom_objectstorage_path s3//b\n",
    "[common.io]\n= s3://b\n", "[common.io]\n: s3://b\nxcom_objectstorage_path = s3://b\n",
    "[common.io]\nxcom_objectstorage_path = s3://b\nbroken\n", "[common.io]\nbroken\nxcom_objectstorage_path = s3://b\n",
    "[common.io]\nxcom_objectstorage_path = s3://a\nxcom_objectstorage_path = s3://b\n",
    "[common.io]\nxcom_objectstorage_path = s3://a\nxcom_objectstorage_path : s3://a\n",
    "[common.io]\nxcom_objectstorage_path = s3://a\n[common.io]\nx = 1\n",
    "[common.io]\nxcom_objectstorage_path = s3://a\n[core]\nx = 1\n[common.io]\n",
    "[DEFAULT]\na = 1\n[DEFAULT]\nb = 2\n[common.io]\nxcom_objectstorage_path = s3://%(a)s-%(b)s\n",
    "[DEFAULT]\na = 1\n[DEFAULT]\na = 2\n[common.io]\nxcom_objectstorage_path = s3://b\n",
    "[DEFAULT]\na = 1\na = 2\n[common.io]\nxcom_objectstorage_path = s3://b\n",
    "[core]\na = 1\nA = 2\n[common.io]\nxcom_objectstorage_path = s3://b\n",
    "[core]\nbroken\n[common.io]\nxcom_objectstorage_path = s3://b\n",
    "[]\na = 1\n[common.io]\nxcom_objectstorage_path = s3://b\n",
    "[common.io\nxcom_objectstorage_path = s3://b\n",
    "[core]\n[common.io\nxcom_objectstorage_path = s3://b\n",
    " xcom_objectstorage_path = s3://b\n", " [common.io]\nxcom_objectstorage_path = s3://b\n",
    "  [common.io]\n  xcom_objectstorage_path = s3://b\n", "[common.io]\n  xcom_objectstorage_path = s3://b\n  xcom_objectstorage_threshold = 1\n",
    "[common.io]\nxcom_objectstorage_path = s3://b\n [core]\nx = 1\n", "[common.io]\n  xcom_objectstorage_path = s3://b\n[core]\nx = 1\n",
    "[common.io]\n  xcom_objectstorage_path = s3://b\n x = 1\n", "[common.io]\nx = 1\n  xcom_objectstorage_path = s3://b\n",
    "[common.io]\r\nxcom_objectstorage_path = s3://b\r\n", "[common.io]\rxcom_objectstorage_path = s3://b\r",
    "[common.io]\r\nxcom_objectstorage_path =\r\n  s3://b\r\n\r\nx = 1\r\n", "[common.io]\n\rxcom_objectstorage_path = s3://b\n",
    "[common.io]\nxcom_objectstorage_path = s3://b\x0b\n", "[common.io]\nxcom_objectstorage_path = s3://b\x0cc\n",
    "[common.io]\nxcom_objectstorage_path = s3://b\u2028c\n", "[common.io]\nxcom_objectstorage_path = \u00a0s3://b\u00a0\n",
    "[common.io]\nxcom_objectstorage_path = s3://b\x85\n", "[common.io]\n\u00a0xcom_objectstorage_path = s3://b\n",
    "[common.io]\nxcom_objectstorage_path\u00a0= s3://b\n", "[common.io]\nxcom_objectstorage_path\x1f=\x1f s3://b\x1c\n",
    "[common.io]\nxcom_objectstorage_path = s3://b\x00c\n", "[common.io]\nxcom_objectstorage_path = s3://büchér-\U0001f600\n",
    "# only\n; comments\n[common.io]\n#x\nxcom_objectstorage_path = s3://b\n;y\n",
]:  # fmt: skip
    case(file)

# Names of sections.
for header in [
    "[common.io]", "[Common.IO]", "[ common.io ]", "[common.io ]", "[common.io] # comment", "[common.io] trailing]", "[common.io]]",
    "[[common.io]]", "[common_io]", "common.io]", "[common.io];x", "[DEFAULT]", "[default]", "\t[common.io]", "[common.io]\t",
]:  # fmt: skip
    case(f"{header}\nxcom_objectstorage_path = s3://b\n")
    case(f"[core]\nx = 1\n{header}\nxcom_objectstorage_path = s3://b\n")

# Names and delimiters.
for line in [
    "xcom_objectstorage_path=s3://b", "xcom_objectstorage_path: s3://b", "xcom_objectstorage_path : s3://b", "xcom_objectstorage_path:s3://b",
    "xcom_objectstorage_path  =  s3://b  ", "xcom_objectstorage_path\t=\ts3://b", "XCOM_OBJECTSTORAGE_PATH = s3://b",
    "Xcom_objectstorage_path = s3://b", "xcom objectstorage path = s3://b", "xcom-objectstorage-path = s3://b",
    "xcom_objectstorage_path == s3://b", "xcom_objectstorage_path =: s3://b", "xcom_objectstorage_path := s3://b",
    "xcom_objectstorage_path => s3://b", "xcom_objectstorage_path - = s3://b", '"xcom_objectstorage_path" = s3://b',
    "export xcom_objectstorage_path = s3://b", "# xcom_objectstorage_path = s3://b", "; xcom_objectstorage_path = s3://b",
    "#xcom_objectstorage_path = s3://b", "  # xcom_objectstorage_path = s3://b", "common.io.xcom_objectstorage_path = s3://b",
    "xcom_objectstore_path = s3://b",
]:  # fmt: skip
    path(line)

# Values.
for text in [
    "s3://b/x", "", " ", "s3://b # comment", "s3://b ; comment", "s3://b#x", "s3://b;x", '"s3://b"', "'s3://b'", '"s3://b', "s3://b=c:d", "a = b",
    "s3://b\\n", "s3://b\\", "None", "{{ x }}", "{AIRFLOW_HOME}/x", "%%", "100%%", "s3://%%d", "s3://%%%%d", "%", "50%", "s3://b%20c", "%%(x)s",
    "%(", "%()s", "%(x", "%(x)", "%(x)d", "%(nope)s", "%%%(nope)s", "%s", "% (x)s", "%(xcom_objectstorage_path)s",
    "[core]", "[x] = y", "= s3://b", ": s3://b", "\\# x",
]:  # fmt: skip
    value(text)

# Several lines.
for lines in [
    ["xcom_objectstorage_path =", "  s3://b"], ["xcom_objectstorage_path = s3://b", "  /x"], ["xcom_objectstorage_path = s3://b", "\t/x"],
    ["xcom_objectstorage_path = s3://b", "", "  /x"], ["xcom_objectstorage_path = s3://b", "", "", "x = 1"],
    ["xcom_objectstorage_path = s3://b", "  # comment", "  /x"], ["xcom_objectstorage_path = s3://b", "# comment", "  /x"],
    ["xcom_objectstorage_path = s3://b", "  x = 1"], ["xcom_objectstorage_path = s3://b", "  [core]"],
    ["xcom_objectstorage_path = s3://b", "   ", "  /x"], ["xcom_objectstorage_path = s3://b", "; c", "", "  /x", "", ""],
    ["x = 1", "  2", "xcom_objectstorage_path = s3://b"], ["  x = 1", "  xcom_objectstorage_path = s3://b", "    /x", "  y = 2"],
    ["  x = 1", "xcom_objectstorage_path = s3://b"], ["  xcom_objectstorage_path = s3://b", "   /x", " y = 1"],
    ["xcom_objectstorage_path = %(x)s", "  /%(x)s", "x = 1"], ["xcom_objectstorage_path = s3://b", "  %"],
    ["xcom_objectstorage_path =", "", "  s3://b"], ["  broken", "xcom_objectstorage_path = s3://b"],
]:  # fmt: skip
    path(*lines)

# Interpolation with other options.
for lines in [
    ["x = b", "xcom_objectstorage_path = s3://%(x)s/%(x)s"], ["X = b", "xcom_objectstorage_path = s3://%(x)s"], ["X = b", "xcom_objectstorage_path = s3://%(X)s"],
    ["x = %(y)s", "y = b", "xcom_objectstorage_path = s3://%(x)s"], ["x = 10%%", "xcom_objectstorage_path = s3://%(x)s"],
    ["x = 10%", "xcom_objectstorage_path = s3://%(x)s"], ["x = %(xcom_objectstorage_path)s", "xcom_objectstorage_path = %(x)s"],
    ["x = $HOME", "xcom_objectstorage_path = %(x)s"], ["x y = b", "xcom_objectstorage_path = s3://%(x y)s"], ["x =", "xcom_objectstorage_path = s3://b%(x)s"],
    ["x = (", "xcom_objectstorage_path = s3://%%%(x)sy)s"], ["x = b", "xcom_objectstorage_path = s3://%%(x)s"], ["other = %", "xcom_objectstorage_path = s3://b"],
    [*(f"k{at} = %(k{at + 1})s" for at in range(1, 9)), "k9 = end", "xcom_objectstorage_path = %(k1)s"],
    [*(f"k{at} = %(k{at + 1})s" for at in range(1, 11)), "k11 = end", "xcom_objectstorage_path = %(k1)s"],
    [*(f"k{at} = %(k{at + 1})s" for at in range(1, 10)), "k10 = end", "xcom_objectstorage_path = %(k1)s"],
    [*(f"k{at} = %(k{at + 1})s" for at in range(1, 10)), "k10 = 1%%", "xcom_objectstorage_path = %(k1)s"],
]:  # fmt: skip
    path(*lines)
for file in [
    "[DEFAULT]\nbucket = b\n[common.io]\nxcom_objectstorage_path = s3://%(bucket)s\n", "[common.io]\nxcom_objectstorage_path = s3://%(bucket)s\n[DEFAULT]\nbucket = b\n",
    "[DEFAULT]\nbucket = b\n[common.io]\nbucket = c\nxcom_objectstorage_path = s3://%(bucket)s\n", "[core]\nbucket = b\n[common.io]\nxcom_objectstorage_path = s3://%(bucket)s\n",
    "[DEFAULT]\nxcom_objectstorage_path = s3://b\n[common.io]\n", "[DEFAULT]\nxcom_objectstorage_path = s3://b\n[core]\n", "[DEFAULT]\nxcom_objectstorage_path = s3://b\n",
    "[DEFAULT]\nxcom_objectstorage_path = s3://a\n[common.io]\nxcom_objectstorage_path = s3://b\n", "[DEFAULT]\nxcom_objectstorage_path = s3://%(x)s\n[common.io]\nx = b\n",
    "[DEFAULT]\nx = %\n[common.io]\nxcom_objectstorage_path = s3://b\n", "[DEFAULT]\nxcom_objectstorage_path =\n  s3://b\n\n[common.io]\n",
]:  # fmt: skip
    case(file)

# Variables of the environment in a value.
NAMES = {
    "BUCKET": "bkt", "NESTED": "$BUCKET/n", "DEEP": "${NESTED}", "EMPTY": "", "TILDE": "~/x", "PERCENT": "50%", "DOLLAR": "$", "LOOP_STOP": "$LOOP_STOP",
    "SPACE": " s3://b ", "ünlaut": "u", "N1": "one", "A": "$$BUCKET", "BRACE": "}", "HALF": "${BUC",
}  # fmt: skip
for text in [
    "s3://$BUCKET", "s3://${BUCKET}/x", "s3://$BUCKETX", "s3://${BUCKET}X", "s3://$NESTED", "s3://$DEEP", "s3://$NOPE/x", "s3://${NOPE}/x", "s3://$EMPTY/x",
    "s3://$$BUCKET", "s3://\\$BUCKET", "s3://${BUCKET:-d}", "s3://${}", "s3://$", "s3://${BUCKET", "s3://$DOLLAR{BUCKET}", "s3://$DOLLAR/x", "$LOOP_STOP", "~", "~/x",
    "~/$BUCKET", "/~", "s3://~", "$TILDE", "x$TILDE", "~nosuchuser/x", "s3://$PERCENT", "$SPACE", "s3://$ünlaut", "s3://${ünlaut}", "s3://$N1", "s3://$1N", "s3://$A",
    "s3://$BUCKET-$N1.$BUCKET", "s3://${BUCKET}${N1}", "s3://${ BUCKET }", "s3://$BRACE${BUCKET}", "%%BUCKET%%", "$HALF}", "s3://${HALF}KET}", "%(x)s$BUCKET",
]:  # fmt: skip
    value(text, NAMES)
    case(None, env={**NAMES, PATH_VARIABLE: text})
value("~/x", {"HOME": "/"})
value("~", {"HOME": "/"})
value("~/x", {"HOME": "/h/"})
value("~/x", {"HOME": ""})
value("~/x", {"HOME": "$BUCKET", "BUCKET": "/b"})

# Variables above the file.
FILE = "[common.io]\nxcom_objectstorage_path = s3://of-file\n"
for env in [
    {}, {PATH_VARIABLE: "s3://of-env"}, {PATH_VARIABLE: ""}, {PATH_VARIABLE: " "}, {PATH_VARIABLE.lower(): "s3://of-env"}, {PATH_VARIABLE: '"s3://b"'},
    {"AIRFLOW__COMMON.IO__XCOM_OBJECTSTORAGE_PATH": "s3://of-env"}, {"AIRFLOW__COMMON_IO__xcom_objectstorage_path": "s3://of-env"},
    {"AIRFLOW__CORE__XCOM_OBJECTSTORAGE_PATH": "s3://of-env"}, {f"{PATH_VARIABLE}_CMD": "echo from-a-command"}, {f"{PATH_VARIABLE}_SECRET": "path"},
    {"AIRFLOW__COMMON_IO__XCOM_OBJECTSTORE_PATH": "s3://of-env"}, {"AIRFLOW__TEAM_A___COMMON_IO__XCOM_OBJECTSTORAGE_PATH": "s3://of-env"},
    {PATH_VARIABLE: "s3://%%b"}, {PATH_VARIABLE: "s3://%(x)s"}, {PATH_VARIABLE: "a\nb"},
]:  # fmt: skip
    case(FILE, env=env)
    case(None, env=env)
case("[team_a=common.io]\nxcom_objectstorage_path = s3://b\n")
case("[common.io]\nxcom_objectstorage_path_cmd = echo from-a-command\n")
case("[common.io]\nxcom_objectstorage_path = %\n", env={PATH_VARIABLE: "s3://of-env"})
case("broken\n", env={PATH_VARIABLE: "s3://of-env"})

# The options of the other settings, and the names that they had.
for option in [BACKEND, COMPRESSION, SCHEMA, CONN, BASE_URL, OLD_BASE_URL]:
    section, key = option
    variable = f"AIRFLOW__{section.replace('.', '_').upper()}__{key.upper()}"
    case(f"[{section}]\n{key} = of-file\n", option)
    case(f"[{section}]\n{key} =\n", option)
    case(f"[{section}]\n{key} = of-file\n", option, {variable: "of-env"})
    case(f"[{section}]\n{key} = of-file\n", option, {variable: ""})
    case(None, option)
CONN_FILE = "[database]\nsql_alchemy_conn = of-file\n"
OLD_CONN_FILE = "[core]\nsql_alchemy_conn = of-old-file\n"
for file in [None, CONN_FILE, OLD_CONN_FILE, CONN_FILE + OLD_CONN_FILE]:
    for env in [
        {}, {CONN_VARIABLE: "of-env"}, {OLD_CONN_VARIABLE: "of-old-env"}, {CONN_VARIABLE: "of-env", OLD_CONN_VARIABLE: "of-old-env"}, {OLD_CONN_VARIABLE: ""},
        {f"{CONN_VARIABLE}_CMD": "echo from-a-command"}, {f"{OLD_CONN_VARIABLE}_CMD": "echo from-a-command"},
        {f"{CONN_VARIABLE}_CMD": "echo from-a-command", OLD_CONN_VARIABLE: "of-old-env"}, {f"{CONN_VARIABLE}_CMD": "echo from-a-command", CONN_VARIABLE: "of-env"},
        {f"{CONN_VARIABLE}_SECRET": "conn"}, {f"{CONN_VARIABLE}_SECRET": "conn", SECRETS_VARIABLE: SECRETS}, {f"{OLD_CONN_VARIABLE}_SECRET": "conn", SECRETS_VARIABLE: SECRETS},
        {f"{CONN_VARIABLE}_SECRET": "conn", SECRETS_VARIABLE: SECRETS, CONN_VARIABLE: "of-env"}, {SECRETS_VARIABLE: SECRETS},
    ]:  # fmt: skip
        case(file, CONN, env)
for file in [
    "[database]\nsql_alchemy_conn_cmd = echo from-a-command\n", "[core]\nsql_alchemy_conn_cmd = echo from-a-command\n",
    CONN_FILE + "sql_alchemy_conn_cmd = echo from-a-command\n", OLD_CONN_FILE + "[database]\nsql_alchemy_conn_cmd = echo from-a-command\n",
    "[database]\nsql_alchemy_conn =\nsql_alchemy_conn_cmd = echo from-a-command\n", "[database]\nsql_alchemy_conn_secret = conn\n",
    "[core]\nsql_alchemy_schema = of-old-file\n", "[database]\nsql_alchemy_conn = postgresql://$U:p%%40@h/$DB?x=%(y)s\ny = 1\n",
]:  # fmt: skip
    case(file, SCHEMA if "schema" in file else CONN, {"U": "airflow", "DB": "meta"})
case("[database]\nsql_alchemy_conn_secret = conn\n", CONN, {SECRETS_VARIABLE: SECRETS})
case("[database]\nsql_alchemy_conn_secret = conn\nsql_alchemy_conn_cmd = echo from-a-command\n", CONN, {SECRETS_VARIABLE: SECRETS})
case(f"[database]\nsql_alchemy_conn_secret = conn\n[secrets]\nbackend = {SECRETS}\n", CONN)
case(None, SCHEMA, {"AIRFLOW__CORE__SQL_ALCHEMY_SCHEMA": "of-old-env"})
for option in [BASE_URL, OLD_BASE_URL]:
    case("[webserver]\nbase_url = of-webserver\n", option)
    case("[webserver]\nbase_url = of-webserver\n[api]\nbase_url = of-api\n", option)
    case("[api]\nbase_url = of-api\n", option)
    case(None, option, {"AIRFLOW__WEBSERVER__BASE_URL": "of-webserver"})
    case(None, option, {"AIRFLOW__API__BASE_URL": "of-api"})
    case("[api]\nbase_url = of-api\n", option, {"AIRFLOW__WEBSERVER__BASE_URL": "of-webserver"})

# Whole numbers.
for text in [
    "0", "-1", "1048576", "+7", " 5 ", "1_000", "1__000", "_1", "1_", "-1_0", "1 000", "1,000", "1.0", "10.0", "10.5", "1.048576e+06", "1e6", "1E6", "1e-6", "1e400",
    "-1e3", "1_0.0", "1e1_0", "._5", "5.", ".0", "0x10", "0b1", "0o7", "007", "", "x", "10  # ten", "10 ; ten", '"10"', "inf", "-inf", "Infinity", "nan", "١٢٣", "１２", "²",
    "--1", "+-1", "1e", "e1", "9007199254740993", "9.007199254740993e15", "123456789012345678901234567890", "1e22", "1e23", "-0.0", "-0", "1.7976931348623157e308", "10\u00a0", "10\x00", "1٫0", "True",
    "$N", "1_000.0", "1e+_6",
]:  # fmt: skip
    threshold(text, {"N": "64"})
    if "\x00" not in text:
        case(None, THRESHOLD, {THRESHOLD_VARIABLE: text, "N": "64"}, number=True)
threshold("1\n  2")
threshold("1", {THRESHOLD_VARIABLE: ""})
threshold("%(x)s")
case(None, THRESHOLD, number=True)
