//! The examples beside a new key, in four languages. They read the key from the environment, as every provider's
//! documentation asks; what differs between providers is in the catalog, and was checked there to need no quoting.

use crate::{catalog::Snippets, console_plane::keys::forms::Snippet};

/// Where the catalog names no API, they ask the key plane about the key.
pub fn of(catalog: &Snippets, keys_url: &str) -> Vec<Snippet> {
    let (base, setting, path) = match &catalog.api {
        Some(api) => (api.base_url.as_str(), api.base_url_env.as_deref(), api.path.as_str()),
        None => (keys_url, None, "/v1/whoami"),
    };
    let header = catalog.header.as_str();
    let key = format!("{}_API_KEY", catalog.env_prefix);
    [
        ("curl", curl(base, setting, path, header, &key)),
        ("Python", python(base, setting, path, header, &key)),
        ("TypeScript", typescript(base, setting, path, header, &key)),
        ("Go", go(base, setting, path, header, &key)),
    ]
    .map(|(language, code)| Snippet { language: language.to_owned(), code })
    .into()
}

fn curl(base: &str, setting: Option<&str>, path: &str, header: &str, key: &str) -> String {
    let base = setting.map_or_else(|| base.to_owned(), |setting| format!("${{{setting}:-{base}}}"));
    format!("curl \"{base}{path}\" \\\n  -H \"{header}: ${key}\"")
}

fn python(base: &str, setting: Option<&str>, path: &str, header: &str, key: &str) -> String {
    let base = match setting {
        Some(setting) => format!("os.environ.get(\"{setting}\", \"{base}\")"),
        None => format!("\"{base}\""),
    };
    format!(
        r#"import os
from urllib.request import Request, urlopen

base_url = {base}
request = Request(
    base_url + "{path}",
    headers={{"{header}": os.environ["{key}"]}},
)
with urlopen(request) as response:
    print(response.read().decode())"#
    )
}

fn typescript(base: &str, setting: Option<&str>, path: &str, header: &str, key: &str) -> String {
    let base = match setting {
        Some(setting) => format!("process.env.{setting} ?? \"{base}\""),
        None => format!("\"{base}\""),
    };
    format!(
        r#"const baseUrl = {base};
const response = await fetch(`${{baseUrl}}{path}`, {{
  headers: {{ "{header}": process.env.{key} ?? "" }},
}});
console.log(response.status, await response.text());"#
    )
}

fn go(base: &str, setting: Option<&str>, path: &str, header: &str, key: &str) -> String {
    let base = match setting {
        Some(setting) => {
            format!("baseURL := os.Getenv(\"{setting}\")\n\tif baseURL == \"\" {{\n\t\tbaseURL = \"{base}\"\n\t}}")
        }
        None => format!("baseURL := \"{base}\""),
    };
    format!(
        r#"package main

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
)

func main() {{
	{base}
	request, err := http.NewRequest("GET", baseURL+"{path}", nil)
	if err != nil {{
		log.Fatal(err)
	}}
	request.Header.Set("{header}", os.Getenv("{key}"))
	response, err := http.DefaultClient.Do(request)
	if err != nil {{
		log.Fatal(err)
	}}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {{
		log.Fatal(err)
	}}
	fmt.Println(response.Status, string(body))
}}"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Catalog, PRESETS};

    #[test]
    fn with_a_setting_for_the_host_and_without() {
        let said: Vec<String> = ["heso", "holonomix"]
            .into_iter()
            .flat_map(|name| of(&Catalog::load(name).unwrap().snippets, "http://127.0.0.1:3001"))
            .map(|snippet| format!("{}\n{}\n", snippet.language, snippet.code))
            .collect();
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn every_preset_says_its_own_variable_header_and_address() {
        for ((preset, _), (key, header, url)) in PRESETS.iter().zip([
            ("KEYDESK_API_KEY", "x-api-key", "http://127.0.0.1:3001"),
            ("HESO_API_KEY", "x-api-key", "https://api.heso.ca"),
            ("HEIR_API_KEY", "x-api-key", "https://api.heir.es"),
            ("HX_API_KEY", "X-Api-Key", "https://gate.holonomx.com"),
            ("HELIOS_API_KEY", "x-api-key", "https://heliosai.health"),
            ("HEFFL_API_KEY", "x-api-key", "http://127.0.0.1:3001"),
        ]) {
            for Snippet { language, code } in of(&Catalog::load(preset).unwrap().snippets, "http://127.0.0.1:3001") {
                for said in [key, header, url] {
                    assert!(code.contains(said), "{preset}, {language}: no {said} in {code}");
                }
            }
        }
    }
}
