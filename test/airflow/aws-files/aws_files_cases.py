"""AWS's own files in many forms, for botocore to answer: what a client for S3 is made of with them, or that it refuses them."""

KEYS = "aws_access_key_id = AKIA\naws_secret_access_key = ge#heim\n"

CASES: list[dict] = []


def case(config="", credentials="", profile=None, encoding="utf-8"):
    CASES.append({"config": config, "credentials": credentials, "profile": profile, "encoding": encoding})


def keys(text, profile=None):
    """The same in either file."""
    case(credentials=text, profile=profile)
    case(config=text, profile=profile)


# Files that are nothing, and files that are broken.
case()
for text in [
    "", "# a comment\n", "[default]\n", f"[default]\n{KEYS}", f"[default]\r\n{KEYS}".replace("\n", "\r\n"), KEYS, f"\ufeff[default]\n{KEYS}",
    f"[default]\n{KEYS}region = a\nregion = b\n", f"[default]\n{KEYS}region = a\nRegion = b\n", f"[default]\n{KEYS}[default]\nregion = a\n",
    f"[default]\n{KEYS}output\n", f"[default]\n{KEYS}[other]\noutput\n", f"[default]\n{KEYS}= x\n", f"[default\n{KEYS}",
    f"[default]\n{KEYS}s3 =\n  addressing_style\n", f"[default]\n{KEYS}s3 =\n  addressing_style: path\n", f"[default]\n{KEYS}other =\n  text\n",
    f"[default]\n{KEYS}[other]\ns3 =\n  text\n", f"[default]\n{KEYS}s3 = x\n  text\n", f"[default]\n{KEYS}s3 =\n  # a comment\n  addressing_style = virtual\n",
    f"[default]\n{KEYS}s3 =\n\n  addressing_style = virtual\n", f"[default]\n{KEYS}  region = eu-west-1\n", f"  [default]\n  {KEYS}",
    f"[DEFAULT]\n{KEYS}", f"[DEFAULT]\nregion = eu-west-1\n[default]\n{KEYS}", f"[DEFAULT]\nRegion = eu-west-1\n[default]\nregion = eu-west-2\n{KEYS}",
    f"[ default ]\n{KEYS}", f"[Default]\n{KEYS}", f"[default] # x\n{KEYS}", f"# %(x)s\n[default]\n{KEYS}region = %(x)s\n",
]:  # fmt: skip
    keys(text)
for text in [f"# Zugangsdaten f\u00fcr Airflow\n[default]\n{KEYS}", f"[default]\n{KEYS}output = \u00fc\n"]:
    case(credentials=text, encoding="latin-1")
    case(config=text, encoding="latin-1")
    keys(text)

# Keys.
for lines in [
    "aws_access_key_id : AKIA\naws_secret_access_key: s\n", "AWS_Access_Key_Id = AKIA\nAWS_SECRET_ACCESS_KEY = s\n", "aws_access_key_id=AKIA\naws_secret_access_key=s==\n",
    "aws_access_key_id = AKIA # prod\naws_secret_access_key = s ; prod\n", 'aws_access_key_id = "AKIA"\naws_secret_access_key = \'s\'\n', "aws_access_key_id = AKIA\n",
    "aws_secret_access_key = s\n", "aws_access_key_id =\naws_secret_access_key =\n", "aws_access_key_id = AKIA\naws_secret_access_key =\n  s\n",
    f"{KEYS}aws_session_token = one\n", f"{KEYS}aws_session_token = one\naws_security_token = two\n", f"{KEYS}aws_session_token =\n",
    f"{KEYS}sso_start_url = https://x\nsso_region = a\nsso_account_id = 1\nsso_role_name = r\n",
    "aws_access_key_id = AKIA\naws_secret_access_key = s%%s\n", "aws_access_key_id = AKIA\naws_secret_access_key = $HOME\n",
]:  # fmt: skip
    keys(f"[default]\n{lines}")
case(config="[default]\naws_access_key_id = OF\naws_secret_access_key = config\n", credentials=f"[default]\n{KEYS}")
case(config="[default]\naws_access_key_id = OF\naws_secret_access_key = config\n", credentials="[default]\naws_secret_access_key = s\n")
case(config=f"[default]\n{KEYS}", credentials="[default]\nregion = eu-west-1\n")
case(config="[default]\nregion = eu-west-2\n", credentials=f"[default]\n{KEYS}region = eu-west-1\n")
case(credentials=f"[default]\n{KEYS}credential_process = /bin/false\n")
case(config="[default]\nrole_arn = r\nsource_profile = base\n", credentials=f"[base]\n{KEYS}")
case(config="[default]\nregion = a\nregion = b\n", credentials=f"[default]\n{KEYS}")
case(config=f"[default]\n{KEYS}", credentials="[other]\nbroken\n")

# Names of profiles.
for title in [
    "default", "profile default", 'profile "default"', "one", "profile one", 'profile "one"', "profile 'one'", "profile  one ", "profile\tone", "profileone", "profiles one",
    "profile one two", "Profile one", 'profile "one', 'profile on"e"', "profile o\\ne", "profile one # x", "preview one", 'profile"one"', 'profile ""',
]:  # fmt: skip
    case(config=f"[{title}]\n{KEYS}region = eu-west-1\n", profile="one")
    case(config=f"[{title}]\n{KEYS}region = eu-west-1\n")
for title in ["my prof", '"my prof"', "profile my prof", 'profile "my prof"', "profile 'my prof'", "profile my\\ prof"]:
    keys(f"[{title}]\n{KEYS}", "my prof")
    keys(f"[{title}]\n{KEYS}", '"my prof"')
for profile in ["a/b", "a@b.c", "a:b", "\u00fc", "a#b", "#b", "default"]:
    case(credentials=f"[{profile}]\n{KEYS}", profile=profile)
    case(config=f"[profile {profile}]\n{KEYS}", profile=profile)
for text in [
    "[profile default]\nregion = eu-west-1\n[default]\nregion = eu-west-2\n", "[default]\nregion = eu-west-2\n[profile default]\nregion = eu-west-1\n",
    "[profile default]\nregion = eu-west-1\noutput = json\n[default]\noutput = json\n", '[profile default]\nregion = eu-west-1\n[profile "default"]\nregion = eu-west-2\n',
]:  # fmt: skip
    case(config=text, credentials=f"[default]\n{KEYS}")
case(config='[profile one]\nregion = eu-west-1\n[profile "one"]\noutput = json\n', credentials=f"[one]\n{KEYS}", profile="one")

# What else a client is made of.
ONE = f"[default]\n{KEYS}"
for lines in [
    "endpoint_url = http://file:1\n", "endpoint_url : http://file:1\n", "Endpoint_URL = http://file:1\n", "endpoint_url = http://file:1\nignore_configured_endpoint_urls = true\n",
    "endpoint_url = http://file:1\nignore_configured_endpoint_urls = yes\n", "services = here\n[services here]\ns3 =\n  endpoint_url = http://nested:2\n",
    'services = here\n[services "here"]\ns3 =\n  endpoint_url = http://nested:2\n', "services = here\nendpoint_url = http://file:1\n[services here]\ns3 =\n  ENDPOINT_URL = http://nested:2\n",
    "services = here\nendpoint_url = http://file:1\n[services here]\ns3 =\n  endpoint_url : http://nested:2\n",
    "services = here\n[services here]\ns3 =\n  endpoint_url = http://nested:2\n[services 'here']\nsts =\n  endpoint_url = http://sts:1\n",
    "services = there\nendpoint_url = http://file:1\n[services here]\ns3 =\n  endpoint_url = http://nested:2\n", "services =\nendpoint_url = http://file:1\n", "endpoint_url =\n",
    "endpoint_url = http://file:1\ns3 =\n  addressing_style = virtual\n", "endpoint_url = http://file:1\nS3 =\n  addressing_style = virtual\n",
    "endpoint_url = http://file:1\ns3 =\n  Addressing_Style = virtual\n", "endpoint_url = http://file:1\ns3 = addressing_style = virtual\n", "endpoint_url = http://file:1\ns3.addressing_style = virtual\n",
    "s3 =\n  addressing_style = path\n", "s3 =\n    addressing_style=path\n    use_accelerate_endpoint = false\n", "s3 =\n  use_dualstack_endpoint = true\n", "s3 =\n  use_accelerate_endpoint = True\n",
    "region = eu-central-1\n", "REGION: eu-central-1\n", "region =\n", "request_checksum_calculation = when_required\n", "request_checksum_calculation = WHEN_REQUIRED\n", "ca_bundle = /ca.pem\n",
]:  # fmt: skip
    case(config=ONE + lines)
