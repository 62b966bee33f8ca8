"""The rows of docs/worker-s3.md as worlds that a worker and the exporter are put into: environment, connection, AWS's files."""

import json
from dataclasses import dataclass, field
from urllib.parse import urlencode

ARN = "arn:aws:s3:us-east-1:123456789012:accesspoint/ap"
ROLE = "arn:aws:iam::123456789012:role/xcom"
KEYS = {"AWS_ACCESS_KEY_ID": "ENV", "AWS_SECRET_ACCESS_KEY": "env-secret"}


@dataclass(frozen=True)
class Case:
    setting: str
    case: str
    extra: dict = field(default_factory=dict)
    env: dict = field(default_factory=dict)
    # Of the connection; None: it has neither.
    login: str | None = "KEY"
    config: str = ""
    credentials: str = ""
    bucket: str = "xcoms"
    # False: the path names no connection.
    named: bool = True
    # Whether it is a URI and no JSON, with what is extra in its query.
    uri: bool = False
    # The subject of a warning that says where the exporter goes another way; '' : it goes the same way, without a word.
    warning: str = ""

    def connection(self) -> str:
        if self.uri:
            return f"aws://{self.login}:secret@/?{urlencode(self.extra)}"
        own = {} if self.login is None else {"login": self.login, "password": "secret"}
        return json.dumps({"conn_type": "aws", **own, "extra": self.extra})


def cases(at) -> list[Case]:
    """`at`: addresses of `plain` (an S3), `tls` (an S3 by TLS), `proxy`, `guarded` (a proxy), the file `ca`, `token`, a file, and `home`, a folder."""
    own = {"endpoint_url": at.plain}
    tls = {"endpoint_url": at.tls}
    # AWS's own names lead nowhere here but through a proxy.
    aws = {"HTTPS_PROXY": at.proxy, "AWS_CA_BUNDLE": at.ca}
    far = {"endpoint_url": "http://s3.example:9000"}
    here = {"region_name": "us-east-1"}
    sts = {"service_config": {"sts": {"endpoint_url": at.plain}}}

    def keys(name, **more):
        return f"[{name}]\naws_access_key_id = {name.upper()}\naws_secret_access_key = s\n" + "".join(
            f"{key} = {value}\n" for key, value in more.items()
        )

    return [
        Case("keys of the connection", "login and password, before variables", own, KEYS),
        Case("keys of the connection", "a pair in extra", {**own, "aws_access_key_id": "EXTRA", "aws_secret_access_key": "s"}, KEYS, None),
        Case("keys of the connection", "login and password before a pair in extra", {**own, "aws_access_key_id": "EXTRA", "aws_secret_access_key": "s"}),
        Case("keys of the connection", "half a pair in extra", {**own, "aws_access_key_id": "EXTRA"}, KEYS, None, warning="aws_access_key_id"),
        Case("keys of the connection", "with aws_session_token", {**own, "aws_session_token": "token"}, {**KEYS, "AWS_SESSION_TOKEN": "other"}),
        Case("keys of the connection", "session_kwargs", {**own, "session_kwargs": {"aws_access_key_id": "SESSION", "aws_secret_access_key": "s"}}, KEYS, None),
        Case("keys in variables", "no connection in the path", {}, {**KEYS, "AWS_ENDPOINT_URL": at.plain}, named=False),
        Case("keys in variables", "before AWS_PROFILE", own, {**KEYS, "AWS_PROFILE": "one"}, None, credentials=keys("one")),
        Case("keys in variables", "half a pair", own, {"AWS_ACCESS_KEY_ID": "ENV"}, None, credentials=keys("default"), warning="AWS_ACCESS_KEY_ID is set without"),
        Case("keys in variables", "a line break behind one", own, {**KEYS, "AWS_ACCESS_KEY_ID": "ENV\n"}, None, warning="white space at an end of a key"),
        Case("session token", "AWS_SECURITY_TOKEN and AWS_SESSION_TOKEN", own, {**KEYS, "AWS_SECURITY_TOKEN": "first", "AWS_SESSION_TOKEN": "second"}, None),
        Case("session token", "AWS_SESSION_TOKEN", own, {**KEYS, "AWS_SESSION_TOKEN": "second"}, None),
        Case("profile", "profile_name, before variables", {**own, "profile_name": "one"}, KEYS, None, credentials=keys("one")),
        Case("profile", "profile_name beside login and password", {**own, "profile_name": "one"}, {}, credentials=keys("one")),
        Case("profile", "profile_name, its endpoint and region", {"profile_name": "one"}, {}, None, f"[profile one]\nregion = eu-west-2\nendpoint_url = {at.plain}\n", keys("one")),
        Case("profile", "profile_name, its role", {**own, "profile_name": "one"}, {"AWS_ENDPOINT_URL_STS": at.plain}, None, f"[profile one]\nregion = us-east-1\nrole_arn = {ROLE}\nsource_profile = base\n", keys("base")),
        Case("profile", "profile_name, its role without a region", {**own, "profile_name": "one"}, {"AWS_ENDPOINT_URL_STS": at.plain}, None, f"[profile one]\nrole_arn = {ROLE}\nsource_profile = base\n", keys("base"), warning="no region is given"),
        Case("profile", "profile_name that no file has", {**own, "profile_name": "none"}, KEYS, None, credentials=keys("one"), warning="the profile none"),
        Case("profile", "AWS_DEFAULT_PROFILE and AWS_PROFILE", own, {"AWS_DEFAULT_PROFILE": "one", "AWS_PROFILE": "two"}, None, credentials=keys("one") + keys("two")),
        Case("profile", "AWS_PROFILE", own, {"AWS_PROFILE": "two"}, None, credentials=keys("one") + keys("two")),
        Case("profile", "default of the file", own, {}, None, credentials=keys("default")),
        Case("profile", "a file that is broken", own, {}, None, "[default]\nregion = a\nregion = b\n", keys("default"), warning="AWS config file cannot be read"),
        Case("profile", "AWS_PROFILE that is empty", own, {"AWS_PROFILE": ""}, None, credentials=keys("default"), warning="AWS_PROFILE is set and empty"),
        Case("profile", "AWS_PROFILE that no file has, beside keys", own, {**KEYS, "AWS_PROFILE": "none"}, None, warning="the profile none"),
        Case("profile", "a name with a space", own, {"AWS_PROFILE": "my prof"}, None, credentials=keys("my prof").replace("MY PROF", "MY")),
        Case("profile", "a name with a space, in quotes", own, {"AWS_PROFILE": "my prof"}, None, keys('profile "my prof"').replace('PROFILE "MY PROF"', "MY")),
        Case("profile", "[profile default] behind [default]", own, {}, None, "[default]\nregion = eu-west-2\n[profile default]\nregion = eu-west-1\n", keys("default")),
        Case("AWS files", "names in capital letters", {}, {}, None, f"[default]\nREGION = eu-west-1\nEndpoint_URL = {at.plain}\n", "[default]\nAWS_Access_Key_Id = CAP\nAWS_SECRET_ACCESS_KEY = s\n"),
        Case("AWS files", "a colon behind names", {}, {}, None, f"[default]\nregion : eu-west-1\nendpoint_url: {at.plain}\n", "[default]\naws_access_key_id : COLON\naws_secret_access_key: s\n"),
        Case("AWS files", "a role in capital letters", own, {"AWS_ENDPOINT_URL_STS": at.plain}, None, f"[default]\nregion = us-east-1\nROLE_ARN = {ROLE}\nsource_profile = base\n", keys("base"), warning="takes a role from AWS's files"),
        Case("AWS files", "a comment behind a key, S3 knows the key", own, {}, None, credentials="[default]\naws_access_key_id = KEY # prod\naws_secret_access_key = s\n", warning="has a comment behind a key or role"),
        Case("AWS files", "half of a pair", own, {}, None, credentials="[default]\naws_access_key_id = HALF\n", warning="half of a pair"),
        Case("AWS files", "a line without =, below an empty option", own, {}, None, credentials=keys("default") + "other =\n  text\n", warning="AWS credentials file cannot be read"),
        Case("AWS files", "bytes that are no UTF-8", own, {}, None, credentials="# f\udcfcr Airflow\n" + keys("default"), warning="AWS credentials file cannot be read"),
        Case("AWS files", "a text for s3", own, {}, config="[default]\ns3 = addressing_style = path\n", warning="a value for s3"),
        Case("AWS files", "services that are not there", {"region_name": "us-east-1"}, aws, config="[default]\nservices = none\n", warning="services name a section that is not there"),
        Case("AWS files", "paths with ~ and a variable", {}, {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "$WHERE/credentials", "WHERE": f"{at.home}/.aws"}, None, f"[default]\nendpoint_url = {at.plain}\n", keys("default")),
        Case("AWS files", "empty paths", own, {"AWS_CONFIG_FILE": "", "AWS_SHARED_CREDENTIALS_FILE": ""}, None, credentials=keys("default"), warning="without a signature"),
        Case("no credentials", "nowhere", own, {}, None, warning="without a signature"),
        Case("no credentials", "no connection in the path", {}, {"AWS_ENDPOINT_URL": at.plain}, named=False, warning="without a signature"),
        Case("config_kwargs", "signature_version unsigned", {**own, "config_kwargs": {"signature_version": "unsigned"}}, warning="signature_version unsigned"),
        Case("config_kwargs", "signature_version s3v4", {**own, "config_kwargs": {"signature_version": "s3v4"}}),
        Case("config_kwargs", "signature_version s3", {**own, "config_kwargs": {"signature_version": "s3"}}, warning="signature_version"),
        Case("config_kwargs", "an unknown key", {**own, "config_kwargs": {"addressing_style": "path"}}, warning="addressing_style in config_kwargs"),
        Case("config_kwargs", "addressing_style in capital letters", {**own, "config_kwargs": {"s3": {"addressing_style": "PATH"}}}, warning="config_kwargs.s3.addressing_style"),
        Case("config_kwargs", "a mode of retries in capital letters", {**own, "config_kwargs": {"retries": {"mode": "Standard"}}}, warning="config_kwargs.retries.mode"),
        Case("config_kwargs", "an unknown key of retries", {**own, "config_kwargs": {"retries": {"attempts": 3}}}, warning="attempts in config_kwargs.retries"),
        Case("config_kwargs", "as a text in the query of a URI", {"config_kwargs": json.dumps({"s3": {"addressing_style": "path"}}), "endpoint_url": at.plain}, uri=True, warning="has config_kwargs in the query of its URI"),
        Case("config_kwargs", "service_config as a text in the query of a URI", {"service_config": json.dumps({"s3": {"endpoint_url": at.plain}})}, uri=True, warning="has service_config in the query of its URI"),
        Case("config_kwargs", "in __extra__ of a URI", {"__extra__": json.dumps({"endpoint_url": at.plain, "config_kwargs": {"s3": {"addressing_style": "path"}}})}, uri=True),
        Case("config_kwargs", "retries, read_timeout", {**own, "config_kwargs": {"retries": {"max_attempts": 2}, "read_timeout": 10}}),
        Case("config_kwargs", "client_cert", {**tls, "config_kwargs": {"client_cert": at.certificate}}, {"AWS_CA_BUNDLE": at.ca}, warning="client_cert"),
        Case("checksum", "of a PUT", own),
        Case("checksum", "request_checksum_calculation when_required", {**own, "config_kwargs": {"request_checksum_calculation": "when_required"}}, warning="which an older botocore does not know"),
        Case("checksum", "AWS_REQUEST_CHECKSUM_CALCULATION", own, {"AWS_REQUEST_CHECKSUM_CALCULATION": "when_required"}),
        Case("checksum", "AWS_REQUEST_CHECKSUM_CALCULATION of another value", own, {"AWS_REQUEST_CHECKSUM_CALCULATION": "required"}, warning="AWS_REQUEST_CHECKSUM_CALCULATION has a value that botocore refuses"),
        Case("checksum", "AWS_REQUEST_CHECKSUM_CALCULATION that is empty", own, {"AWS_REQUEST_CHECKSUM_CALCULATION": ""}, warning="AWS_REQUEST_CHECKSUM_CALCULATION has a value that botocore refuses"),
        Case("retries", "AWS_MAX_ATTEMPTS that is empty", own, {"AWS_MAX_ATTEMPTS": ""}, warning="AWS_MAX_ATTEMPTS has a value that botocore refuses"),
        Case("retries", "AWS_RETRY_MODE", own, {"AWS_RETRY_MODE": "standard", "AWS_MAX_ATTEMPTS": "2"}),
        Case("checksum", "request_checksum_calculation of the config file", own, config="[default]\nrequest_checksum_calculation = when_required\n"),
        Case("role", "role_arn", {**own, **here, **sts, "role_arn": ROLE}),
        Case("role", "role_arn without a region", {**own, **sts, "role_arn": ROLE}, warning="no region is given"),
        Case("role", "a session name of slugs", {**own, **here, **sts, "role_arn": ROLE, "assume_role_kwargs": {"RoleSessionName": "my session"}}),
        Case("role", "assume_role_kwargs", {**own, **here, **sts, "role_arn": ROLE, "assume_role_kwargs": {
            "ExternalId": "ext", "DurationSeconds": 900, "Policy": "{}", "PolicyArns": [{"arn": "arn:aws:iam::aws:policy/p-of-twenty"}],
            "Tags": [{"Key": "team", "Value": "etl"}], "TransitiveTagKeys": ["team"], "SourceIdentity": "airflow"}}),
        Case("role", "assume_role_kwargs, an unknown one", {**own, **here, **sts, "role_arn": ROLE, "assume_role_kwargs": {"External_Id": "ext"}}, warning="External_Id"),
        Case("role", "by the keys of variables", {**own, **here, **sts, "role_arn": ROLE}, KEYS, None),
        Case("role", "an endpoint of STS that is none", {**own, **here, "role_arn": ROLE}, {"AWS_ENDPOINT_URL_STS": "http://my_sts:1"}, warning="asks STS at an endpoint whose host botocore refuses"),
        Case("role", "external_id, which is old", {**own, **here, **sts, "role_arn": ROLE, "external_id": "ext"}, warning="has external_id"),
        Case("role", "by SAML", {**own, **here, **sts, "role_arn": ROLE, "assume_role_method": "assume_role_with_saml"}, warning="assume_role_with_saml"),
        Case("role", "by web identity of the connection", {**own, **here, "role_arn": ROLE, "assume_role_method": "assume_role_with_web_identity",
            "assume_role_with_web_identity_federation": "file", "assume_role_with_web_identity_token_file": at.token}, {"AWS_ENDPOINT_URL_STS": at.plain}, None, warning="assume_role_with_web_identity"),
        Case("role", "STS by AWS_ENDPOINT_URL_STS", {**own, **here, "role_arn": ROLE}, {"AWS_ENDPOINT_URL_STS": at.plain}),
        Case("role", "STS of AWS, through the proxy", {**own, **here, "role_arn": ROLE}, {**aws, "NO_PROXY": "localhost"}),
        Case("role", "STS of AWS in a region", {**own, "region_name": "eu-west-1", "role_arn": ROLE}, {**aws, "NO_PROXY": "localhost"}),
        Case("role", "STS through the proxy of config_kwargs", {**far, **here, "role_arn": ROLE, "service_config": {"sts": {"endpoint_url": "http://sts.example"}}, "config_kwargs": {"proxies": {"http": at.proxy}}}),
        Case("role", "STS beside proxy-uri", {**here, "role_arn": ROLE, "service_config": {"s3": {"endpoint_url": "http://s3.example:9000", "proxy-uri": at.proxy}, "sts": {"endpoint_url": at.plain}}}),
        Case("identity of the pod", "web identity (IRSA)", own, {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": at.token, "AWS_ENDPOINT_URL_STS": at.plain}, None),
        Case("identity of the pod", "web identity, S3 and STS through the proxy", here, {**aws, "AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": at.token, "AWS_DEFAULT_REGION": "us-east-1"}, None),
        Case("identity of the pod", "web identity, STS alone through the proxy", own, {**aws, "NO_PROXY": "localhost", "AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": at.token, "AWS_DEFAULT_REGION": "us-east-1"}, None),
        Case("identity of the pod", "web identity beside keys of the AWS files", own, {"AWS_ROLE_ARN": ROLE, "AWS_WEB_IDENTITY_TOKEN_FILE": at.token, "AWS_ENDPOINT_URL_STS": at.plain, "AWS_DEFAULT_REGION": "us-east-1"}, None, credentials=keys("default"), warning="takes the identity of AWS_WEB_IDENTITY_TOKEN_FILE"),
        Case("identity of the pod", "AWS_CONTAINER_CREDENTIALS_FULL_URI", own, {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{at.plain}/credentials"}, None),
        Case("region", "none", {}, aws),
        Case("region", "config_kwargs before region_name", {"region_name": "eu-west-1", "config_kwargs": {"region_name": "eu-west-2"}}, aws),
        Case("region", "region_name before AWS_DEFAULT_REGION", {"region_name": "eu-west-1"}, {**aws, "AWS_DEFAULT_REGION": "eu-west-2"}),
        Case("region", "AWS_DEFAULT_REGION before the file", {}, {**aws, "AWS_DEFAULT_REGION": "eu-west-2"}, config="[default]\nregion = eu-west-1\n"),
        Case("region", "the file", {}, aws, config="[default]\nregion = eu-west-1\n"),
        Case("region", "AWS_DEFAULT_REGION that is empty, at AWS", {}, {**aws, "AWS_DEFAULT_REGION": ""}, config="[default]\nregion = eu-west-1\n", warning="AWS_DEFAULT_REGION has an empty region"),
        Case("region", "a comment behind it", own, config="[default]\nregion = eu-west-1 # prod\n", warning="has a region that botocore refuses"),
        Case("region", "a line break at its end", {**own, "region_name": "eu-west-1\n"}, warning="has a region that botocore refuses"),
        Case("region", "AWS_REGION alone", {}, {**aws, "AWS_REGION": "eu-west-1"}, warning="AWS_REGION is not read"),
        Case("region", "with an endpoint", {**own, "region_name": "eu-west-1"}),
        Case("endpoint", "service_config.s3 before endpoint_url", {"endpoint_url": "http://s3.example", "service_config": {"s3": {"endpoint_url": at.plain}}}),
        Case("endpoint", "endpoint_url before variables", own, {"AWS_ENDPOINT_URL_S3": "http://s3.example"}),
        Case("endpoint", "AWS_ENDPOINT_URL_S3 before AWS_ENDPOINT_URL", {}, {"AWS_ENDPOINT_URL_S3": at.plain, "AWS_ENDPOINT_URL": "http://s3.example"}),
        Case("endpoint", "AWS_ENDPOINT_URL before the file", {}, {"AWS_ENDPOINT_URL": at.plain}, config="[default]\nendpoint_url = http://s3.example\n"),
        Case("endpoint", "the file, with its services", {}, {}, config=f"[default]\nendpoint_url = http://s3.example\nservices = own\n[services own]\ns3 =\n  endpoint_url = {at.plain}\n"),
        Case("endpoint", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", {}, {**aws, "AWS_ENDPOINT_URL": at.plain, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}),
        Case("endpoint", "an underscore in its host", {"endpoint_url": "http://minio_s3:9000"}, warning="whose host botocore refuses"),
        Case("endpoint", "a question mark in it", {"endpoint_url": f"{at.plain}/?x=1"}, warning="with a question mark, which botocore refuses"),
        Case("endpoint", "a space before it, slashes at its end", {"endpoint_url": f" {at.plain}//"}),
        Case("endpoint", "a space behind it", {"endpoint_url": f"{at.plain} "}, warning="has an endpoint that is no URL"),
        Case("endpoint", "a port that is none", {"endpoint_url": "http://minio:api"}, warning="has an endpoint that is no URL"),
        Case("endpoint", "host of the connection", {"host": at.plain}, aws, warning="takes host in extra for the endpoint"),
        Case("addressing", "auto with an endpoint", far, {"HTTP_PROXY": at.proxy}),
        Case("addressing", "virtual of the connection", {**far, "config_kwargs": {"s3": {"addressing_style": "virtual"}}}, {"HTTP_PROXY": at.proxy}),
        Case("addressing", "virtual of the config file", far, {"HTTP_PROXY": at.proxy}, config="[default]\ns3 =\n  addressing_style = virtual\n"),
        Case("addressing", "path at AWS", {"region_name": "eu-west-1", "config_kwargs": {"s3": {"addressing_style": "path"}}}, aws),
        Case("addressing", "auto at AWS", {"region_name": "eu-west-1"}, aws),
        Case("authorities", "none, TLS of a private one", tls),
        Case("authorities", "AWS_CA_BUNDLE", tls, {"AWS_CA_BUNDLE": at.ca}),
        Case("authorities", "ca_bundle of the config file", tls, config=f"[default]\nca_bundle = {at.ca}\n"),
        Case("authorities", "REQUESTS_CA_BUNDLE", tls, {"REQUESTS_CA_BUNDLE": at.ca}),
        Case("authorities", "AWS_CA_BUNDLE that is empty", tls, {"AWS_CA_BUNDLE": "", "REQUESTS_CA_BUNDLE": at.ca}, warning="AWS_CA_BUNDLE is set and empty"),
        Case("authorities", "SSL_CERT_FILE", tls, {"SSL_CERT_FILE": at.ca}),
        Case("authorities", "verify that names the file", {**tls, "verify": at.ca}, warning="has verify"),
        Case("authorities", "verify that is false", {**tls, "verify": False}, warning="has verify"),
        Case("proxy", "HTTP_PROXY", far, {"HTTP_PROXY": at.proxy}),
        Case("proxy", "HTTP_PROXY without a scheme", far, {"HTTP_PROXY": at.proxy.removeprefix("http://")}),
        Case("proxy", "http_proxy before HTTP_PROXY", far, {"http_proxy": at.proxy, "HTTP_PROXY": "http://nowhere.example:1"}),
        Case("proxy", "http_proxy that is empty, before HTTP_PROXY", own, {"http_proxy": "", "HTTP_PROXY": "http://nowhere.example:1"}),
        Case("proxy", "HTTPS_PROXY", {}, aws),
        Case("proxy", "HTTPS_PROXY, an own endpoint in TLS", {"endpoint_url": "https://localhost"}, aws),
        Case("proxy", "HTTPS_PROXY with a user and a password", {}, {**aws, "HTTPS_PROXY": at.proxy.replace("//", "//us%40er:pa%3Ass@")}),
        Case("proxy", "HTTPS_PROXY by TLS", {}, {**aws, "HTTPS_PROXY": at.guarded}),
        Case("proxy", "HTTPS_PROXY that refuses", {}, {**aws, "HTTPS_PROXY": at.plain}),
        Case("proxy", "HTTPS_PROXY where nobody is", {}, {**aws, "HTTPS_PROXY": "http://127.0.0.1:1"}),
        Case("proxy", "HTTPS_PROXY, an endpoint in plain HTTP", own, {"HTTPS_PROXY": "http://nowhere.example:1"}),
        Case("proxy", "HTTPS_PROXY by SOCKS", {}, {**aws, "HTTPS_PROXY": "socks5://127.0.0.1:1"}, warning="as a SOCKS proxy"),
        Case("proxy", "ALL_PROXY", far, {"ALL_PROXY": at.proxy}),
        Case("proxy", "NO_PROXY, the host", own, {"HTTP_PROXY": at.proxy, "NO_PROXY": "other, localhost"}),
        Case("proxy", "NO_PROXY, the host with its port", own, {"HTTP_PROXY": at.proxy, "NO_PROXY": at.plain.removeprefix("http://")}),
        Case("proxy", "NO_PROXY, the host with another port", own, {"HTTP_PROXY": at.proxy, "NO_PROXY": "localhost:1"}),
        Case("proxy", "NO_PROXY, a domain with a dot", far, {"HTTP_PROXY": at.proxy, "NO_PROXY": ".example"}),
        Case("proxy", "NO_PROXY, the bucket's own host", {"region_name": "eu-west-1"}, {**aws, "NO_PROXY": "xcoms.s3.eu-west-1.amazonaws.com"}),
        Case("proxy", "NO_PROXY, the host of us-east-1 without its region", {"region_name": "us-east-1"}, {**aws, "NO_PROXY": "s3.us-east-1.amazonaws.com"}),
        Case("proxy", "NO_PROXY, a star", own, {"HTTP_PROXY": "http://nowhere.example:1", "NO_PROXY": "*"}),
        Case("proxy", "NO_PROXY, a star among others", far, {"HTTP_PROXY": at.proxy, "NO_PROXY": "*,other"}),
        Case("proxy", "config_kwargs.proxies", {**far, "config_kwargs": {"proxies": {"http": at.proxy}}}),
        Case("proxy", "config_kwargs.proxies before HTTP_PROXY", {**far, "config_kwargs": {"proxies": {"http": at.proxy}}}, {"HTTP_PROXY": "http://nowhere.example:1", "NO_PROXY": "*"}),
        Case("proxy", "config_kwargs.proxies, the other scheme alone", {**own, "config_kwargs": {"proxies": {"https": "http://nowhere.example:1"}}}, {"HTTP_PROXY": "http://nowhere.example:1"}),
        Case("proxy", "proxy-uri of service_config.s3", {"service_config": {"s3": {"endpoint_url": "http://s3.example:9000", "proxy-uri": at.proxy}}}),
        Case("signer", "of service_config.s3", {"service_config": {"s3": {"endpoint_url": at.plain, "signer": "S3V4RestSigner", "signer_uri": at.plain, "signer_token": "t"}}}, warning="has a signer"),
        Case("access point", "ARN as bucket", {}, aws, bucket=ARN),
        Case("access point", "ARN as bucket, in another region", {}, aws, bucket=ARN.replace("us-east-1", "eu-west-1"), ),
        Case("access point", "ARN as bucket, an own endpoint", own, bucket=ARN),
        Case("access point", "alias as bucket", {"region_name": "us-east-1"}, aws, bucket="ap-abc123-s3alias"),
        Case("access point", "ARN as bucket, an endpoint of PrivateLink", {"endpoint_url": "http://s3.example:9000"}, {"HTTP_PROXY": at.proxy}, bucket=ARN),
        Case("host in us-east-1", "of no region", {}, aws),
        Case("host in us-east-1", "told to be regional", {"region_name": "us-east-1"}, {**aws, "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "regional"}),
        Case("other endpoints of AWS", "use_accelerate_endpoint", {"region_name": "eu-west-1", "config_kwargs": {"s3": {"use_accelerate_endpoint": True}}}, aws),
        Case("other endpoints of AWS", "use_dualstack_endpoint of s3", {"region_name": "eu-west-1", "config_kwargs": {"s3": {"use_dualstack_endpoint": True}}}, aws),
        Case("other endpoints of AWS", "use_dualstack_endpoint", {"region_name": "eu-west-1", "config_kwargs": {"use_dualstack_endpoint": True}}, aws),
        Case("other endpoints of AWS", "use_fips_endpoint", {"region_name": "us-east-1", "config_kwargs": {"use_fips_endpoint": True}}, aws),
        Case("other endpoints of AWS", "AWS_USE_FIPS_ENDPOINT", {"region_name": "us-east-1"}, {**aws, "AWS_USE_FIPS_ENDPOINT": "true"}),
        Case("other endpoints of AWS", "AWS_USE_DUALSTACK_ENDPOINT", {"region_name": "eu-west-1"}, {**aws, "AWS_USE_DUALSTACK_ENDPOINT": "true"}),
        Case("other endpoints of AWS", "use_accelerate_endpoint of the config file", {"region_name": "eu-west-1"}, aws, config="[default]\ns3 =\n  use_accelerate_endpoint = true\n"),
    ]  # fmt: skip
