"""Uses a daemon by nothing but what its /openapi.json says, and holds each answer to it.

Operations are found by their operationId. Before a request is sent, its parameters and its body are
checked by the schemas of the operation; the status of the answer, its media type and its JSON are
checked by those of the answer. Needs python3-jsonschema. The environment has URL, ADMIN_KEY and
API_KEY of the daemon, MODEL_URL and MODEL_KEY of a model provider, TOOL_URL of an API.
"""
import hashlib
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

from jsonschema import Draft202012Validator

METHODS = ("get", "put", "post", "patch", "delete", "head", "options")


class Api:
    def __init__(self, url):
        with urllib.request.urlopen(url + "/openapi.json") as answer:
            self.document = json.load(answer)
        self.base = self.document["servers"][0]["url"]
        self.operations = {}
        self.checked = []
        for path, methods in self.document["paths"].items():
            for method in METHODS:
                if method in methods:
                    operation = methods[method]
                    self.operations[operation["operationId"]] = (method, path, operation)

    def resolve(self, node):
        while "$ref" in node:
            found = self.document
            for name in node["$ref"].removeprefix("#/").split("/"):
                found = found[name]
            node = found
        return node

    def check(self, schema, value, what):
        whole = {**schema, "components": self.document["components"]}
        faults = [f"{fault.json_path}: {fault.message}" for fault in Draft202012Validator(whole).iter_errors(value)]
        if faults:
            raise AssertionError(f"{what} is not as described: {faults}: {str(value)[:300]}")

    def check_parameters(self, name, operation, path, query):
        known = {(one["in"], one["name"]): one for one in operation.get("parameters", [])}
        for where, given in (("path", path), ("query", query)):
            for parameter, value in given.items():
                assert (where, parameter) in known, f"{name} knows no {where} parameter {parameter}"
                self.check(known[(where, parameter)]["schema"], value, f"{name}: {parameter}")
            for (place, parameter), one in known.items():
                missing = place == where and one.get("required") and parameter not in given
                assert not missing, f"{name} needs {parameter}"

    def check_body(self, name, operation, body, media):
        described = operation.get("requestBody")
        if body is None:
            assert not (described and described["required"]), f"{name} needs a body"
            return
        assert described, f"{name} takes no body"
        schema = described["content"][media]["schema"]
        if media == "application/json":
            self.check(schema, body, f"the body of {name}")

    def security_of(self, name, operation, key, query):
        """The headers that the operation's security asks for; a key in the query is put there."""
        wanted = [scheme for choice in operation["security"] for scheme in choice]
        if not wanted:
            return {}
        scheme = self.document["components"]["securitySchemes"][wanted[0]]
        if scheme["type"] == "http":
            return {"authorization": f"Bearer {key}"} if key else {}
        assert (scheme["type"], scheme["in"]) == ("apiKey", "query"), f"{name}: {scheme}"
        query[scheme["name"]] = key
        return {}

    def call(self, name, status, key=None, path={}, query={}, body=None, data=None, headers={}, wrong=False):
        """Sends one request; `wrong` sends what the document does not allow."""
        method, pattern, operation = self.operations[name]
        media = "application/octet-stream" if data is not None else "application/json"
        if not wrong:
            self.check_parameters(name, operation, path, query)
            self.check_body(name, operation, body if data is None else data, media)
        query = {one: str(value).lower() if isinstance(value, bool) else value for one, value in query.items()}
        sent = {"user-agent": "openapi-client", **headers, **self.security_of(name, operation, key, query)}
        if body is not None:
            data, sent["content-type"] = json.dumps(body).encode(), "application/json"
        url = self.base + pattern
        for parameter, value in path.items():
            url = url.replace("{" + parameter + "}", urllib.parse.quote(value, safe=""))
        if query:
            url += "?" + urllib.parse.urlencode(query)
        request = urllib.request.Request(url, data, sent, method=method.upper())
        try:
            with urllib.request.urlopen(request) as answer:
                got = answer.status, answer.headers, answer.read()
        except urllib.error.HTTPError as refusal:
            got = refusal.code, refusal.headers, refusal.read()
        return self.check_answer(name, operation, status, *got)

    def check_answer(self, name, operation, expected, status, headers, content):
        assert status == expected, f"{name}: {status} instead of {expected}: {content[:500]}"
        assert str(status) in operation["responses"], f"{name}: {status} is not described"
        described = self.resolve(operation["responses"][str(status)]).get("content", {})
        self.checked.append(f"{name} {status}")
        if not described:
            assert content == b"", f"{name}: {status} has a body, which is not described: {content[:300]}"
            return None
        media = headers.get_content_type()
        assert media in described, f"{name}: {media} is not described"
        if media != "application/json":
            return content
        value = json.loads(content)
        self.check(described[media]["schema"], value, f"the answer {status} of {name}")
        return value


def of_signed_url(url):
    """The id, the parameters and the signature of a URL that the daemon has signed."""
    parts = urllib.parse.urlsplit(url)
    query = dict(urllib.parse.parse_qsl(parts.query))
    signature = query.pop("signature")
    for name in ("size", "expires"):
        query[name] = int(query[name])
    return parts.path.rsplit("/", 1)[1], query, signature


def transfer(api, key):
    data = os.urandom(5000)
    upload = {"name": "demo", "model_name": "tiny", "dtype": "F16", "size_bytes": len(data),
              "sha256": hashlib.sha256(data).hexdigest()}
    place = api.call("createArtifact", 200, key, body=upload)
    blob, signed, signature = of_signed_url(place["url"])
    artifact = {"id": place["artifact_id"]}
    api.call("putBlob", 403, "forged", {"id": blob}, signed, data=data)
    api.call("putBlob", 200, signature, {"id": blob}, signed, data=data)
    api.call("confirmUpload", 200, key, artifact, body={"size_bytes": len(data)})
    page = api.call("listArtifacts", 200, key,
                    query={"status": "all", "sort": "-size", "limit": 10, "shape": "full", "visibility": "private"})
    assert place["artifact_id"] in json.dumps(page)
    download = api.call("createDownloadUrl", 200, key, artifact)
    blob, signed, signature = of_signed_url(download["download_url"])
    get = lambda status, **headers: api.call("getBlob", status, signature, {"id": blob}, signed, headers=headers)
    assert get(200) == data
    assert get(206, range="bytes=10-19") == data[10:20]
    get(304, **{"if-none-match": f'"{upload["sha256"]}"'})
    get(412, **{"if-match": '"another"'})
    get(416, range="bytes=5000-")
    api.call("setVisibility", 204, key, artifact, body={"visibility": "public"})
    assert api.call("downloadPublicArtifact", 200, path=artifact) == data
    assert len(api.call("listCatalogue", 200, query={"sort": "-downloads"})["artifacts"]) == 1
    refuse = lambda status, **what: api.call("listArtifacts", status, wrong=True, **what)
    refuse(401)
    refuse(400, key=key, query={"sort": "colour"})
    refuse(400, key=key, query={"status": "lost"})
    refuse(400, key=key, query={"unknown": "1"})
    api.call("createArtifact", 400, key, body={}, wrong=True)
    api.call("getArtifact", 404, key, {"id": "00000000-0000-4000-8000-000000000000"})
    api.call("deleteArtifact", 400, key, artifact, {"permanent": "perhaps"}, wrong=True)
    api.call("deleteArtifact", 204, key, artifact, {"permanent": True})
    api.call("downloadPublicArtifact", 403, path=artifact)


def administer(api, admin):
    organization = api.call("adminCreateOrganization", 201, admin, body={"name": "Clients", "slug": "clients"})
    org = {"org_id": organization["org_id"]}
    api.call("adminCreateOrganization", 409, admin, body={"name": "Clients", "slug": "clients"})
    user = api.call("createUser", 201, admin,
                    body={"email": "ada@example.com", "org_id": org["org_id"], "monthly_limit_usd": 5})
    key = api.call("createUserKey", 201, admin, {"user_id": user["user_id"]}, body={"name": "client"})
    api.call("createUserKey", 404, admin, {"user_id": "nobody"}, body={"name": "client"})
    api.call("createUserKey", 403, os.environ["API_KEY"], {"user_id": user["user_id"]}, body={"name": "client"})
    assert len(api.call("listUsers", 200, admin, query={"org_id": org["org_id"], "limit": 1000})["users"]) == 1
    api.call("listUsers", 400, admin, query={"limit": 1001}, wrong=True)
    api.call("adminDeleteOrganization", 409, admin, org)
    assert api.call("adminDeleteOrganization", 200, admin, org, {"dry_run": True})["users"] == 1
    return org, key["api_key"]


def chat(api, admin, org, key):
    api.call("putAiProvider", 200, admin, {"name": "scripted"},
             body={"kind": "openai_compatible", "base_url": os.environ["MODEL_URL"],
                   "api_key": os.environ["MODEL_KEY"]})
    ask = {"model": "scripted/gpt-4o-mini", "messages": [{"role": "user", "content": "Hello?"}], "max_tokens": 50}
    said = api.call("createChatCompletion", 200, key, body=ask)
    assert said["choices"][0]["message"]["content"]
    events = api.call("createChatCompletion", 200, key, body={**ask, "stream": True})
    assert events.rstrip().endswith(b"data: [DONE]")
    api.call("createChatCompletion", 401, "gw_live_unknown", body=ask)
    api.call("createChatCompletion", 400, key, body={}, wrong=True)
    report = api.call("getUsageReport", 200, admin, query={"group_by": "model", "org_id": org["org_id"]})
    assert report["usage"][0]["requests"] == 2
    api.call("getUsageReport", 200, admin, query={"group_by": "day", "split_by": "user", "format": "csv"})
    api.call("getUsageReport", 400, admin, query={"format": "xml"}, wrong=True)
    api.call("listUsageRequests", 200, admin, query={"outcome": "ok", "status": 200, "limit": 1000})


def call_tool(api, admin):
    tenant = {"tenant": "clients"}
    place = {**tenant, "provider": "tool"}
    api.call("putProvider", 200, admin, {"provider": "tool"},
             body={"base_url": os.environ["TOOL_URL"], "auth_type": "bearer", "allow_private_addresses": True})
    api.call("putTenant", 200, admin, tenant, body={})
    token = api.call("createTenantToken", 201, admin, tenant, body={"name": "client"})["token"]
    account = {**place, "account": "default"}
    for status in (201, 200):
        api.call("putAccount", status, admin, account, body={"access_token": "tool-secret"})
    told = api.call("callProvider", 200, token, place, body={"path": "/v1/things", "query": {"limit": 2}})
    assert told["data"]["url"] == "/v1/things?limit=2", told
    api.call("callProvider", 401, "kt_unknown", place, body={"path": "/v1/things"})
    api.call("callProvider", 404, token, {**tenant, "provider": "nothing"}, body={"path": "/v1/things"})
    api.call("callProvider", 400, token, place, body={}, wrong=True)
    api.call("removeAccount", 400, admin, account, {"revoke": "perhaps"}, wrong=True)
    api.call("removeAccount", 200, admin, account, {"revoke": False})


def main():
    api = Api(os.environ["URL"])
    transfer(api, os.environ["API_KEY"])
    org, key = administer(api, os.environ["ADMIN_KEY"])
    chat(api, os.environ["ADMIN_KEY"], org, key)
    call_tool(api, os.environ["ADMIN_KEY"])
    json.dump(api.checked, sys.stdout)


main()
