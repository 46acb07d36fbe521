"""Starts a server, makes an access token for each role, and runs Schemathesis with each; see .ci/schemathesis."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

import requests

schemathesis, keydesk, examples = sys.argv[1], os.path.abspath(sys.argv[2]), sys.argv[3]
CONFIG = os.path.abspath(".ci/schemathesis.toml")
PASSWORD = "correct horse battery staple"
folder = tempfile.mkdtemp(prefix="keydesk-schemathesis-")
# The embedded Postgres may run as another user, who must be able to pass through the folder.
os.chmod(folder, 0o711)
environment = {k: v for k, v in os.environ.items() if not k.startswith("KEYDESK_") and k != "DATABASE_URL"}
environment |= {
    "KEYDESK_DATA_DIR": folder,
    "KEYDESK_CONSOLE_ADDR": "127.0.0.1:0",
    "KEYDESK_KEYS_ADDR": "127.0.0.1:0",
}


def command(*arguments, **more):
    return subprocess.run([keydesk, *arguments], env=environment, text=True, check=True, **more)


def token(console, role):
    """Signs in as the person with a role, and creates an access token on the settings page."""
    browser = requests.Session()
    browser.headers["origin"] = console
    signed_in = browser.post(
        f"{console}/console/fn/sign-in", {"email": f"{role}@acme.example", "password": PASSWORD, "next": ""}
    )
    signed_in.raise_for_status()
    page = browser.post(f"{console}/console/fn/account/access-token")
    page.raise_for_status()
    return re.search(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", page.text)[0]


def main():
    for role in ("owner", "viewer"):
        person = ["--email", f"{role}@acme.example", "--name", role, "--org", "acme", "--role", role]
        command("user", "create", *person, "--password-stdin", input=PASSWORD)
    log = open(os.path.join(folder, "log"), "w", encoding="utf-8")
    server = subprocess.Popen(
        [keydesk, "serve"], env=environment, text=True, stdout=subprocess.PIPE, stderr=log
    )
    try:
        console = next(line.split()[-1] for line in server.stdout if line.strip().startswith("Console"))
        tokens = {who: token(console, who) for who in ("owner", "viewer")}
        failed = []
        # Operations on members come last, and the owner's last of all, because the owner can remove their own role with them.
        for part, people in (("exclude", ("owner", "viewer", "nobody")), ("include", ("nobody", "viewer", "owner"))):
            for who in people:
                print(f"schemathesis: as {who}, {part} members by id", flush=True)
                run = [schemathesis, "--config-file", CONFIG, "run", f"{console}/api/v1/openapi.json"]
                run += [f"--{part}-path-regex", "/members/", "--checks", "all", "--max-examples", examples]
                run += ["--phases", "examples,coverage,fuzzing,stateful", "--no-color", "--request-timeout", "30"]
                if who in tokens:
                    run += ["--header", f"Authorization: Bearer {tokens[who]}"]
                if subprocess.run(run, cwd=folder, check=False).returncode != 0:
                    failed.append(f"{who}, {part} members by id")
        for who in failed:
            print(f"schemathesis: failures as {who}")
        return 1 if failed else 0
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


sys.exit(main())
