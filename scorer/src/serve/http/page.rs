//! The pages' files, built into the program: nothing is read from disk and nothing is built beforehand. Never knows
//! what they show.

use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";
const TEXT: &str = "text/plain; charset=utf-8";

/// A file of the pages.
struct File {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($kind:ident $path:literal = $name:literal),+ $(,)?) => {
        &[$(File { path: $path, kind: $kind, text: include_str!(concat!("page/", $name)) }),+]
    };
}

const FILES: &[File] = files![
    HTML "/" = "index.html",
    IMAGE "/icon.svg" = "icon.svg",
    STYLE "/base.css" = "base.css",
    STYLE "/pages.css" = "pages.css",
    STYLE "/vendor/uplot.css" = "vendor/uplot.css",
    SCRIPT "/vendor/uplot.js" = "vendor/uplot.js",
    TEXT "/vendor/LICENSE.uplot" = "vendor/LICENSE.uplot",
    SCRIPT "/theme.js" = "theme.js",
    SCRIPT "/app.js" = "app.js",
    SCRIPT "/api.js" = "api.js",
    SCRIPT "/streams.js" = "streams.js",
    SCRIPT "/dom.js" = "dom.js",
    SCRIPT "/format.js" = "format.js",
    SCRIPT "/severity.js" = "severity.js",
    SCRIPT "/charts.js" = "charts.js",
    SCRIPT "/words.js" = "words.js",
    SCRIPT "/decisions.js" = "decisions.js",
    SCRIPT "/overview.js" = "overview.js",
    SCRIPT "/alerts.js" = "alerts.js",
    SCRIPT "/alert.js" = "alert.js",
    SCRIPT "/logs.js" = "logs.js",
    SCRIPT "/threshold.js" = "threshold.js",
    SCRIPT "/model.js" = "model.js",
    SCRIPT "/web.js" = "web.js",
    SCRIPT "/simulation.js" = "simulation.js",
];

/// One tag for all files: a browser never mixes those of two versions.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = blake3::Hasher::new();
    for file in FILES {
        hasher.update(file.text.as_bytes());
    }
    format!("\"{}\"", &hasher.finalize().to_hex()[..16])
});

/// Routes to all files, and from an alert's permalink to its page.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let router = Router::new().route("/alerts/{id}", get(permalink));
    FILES.iter().fold(router, |router, file| {
        router.route(file.path, get(move |headers: HeaderMap| async move { answer(file, &headers) }))
    })
}

/// A browser asks each time whether its copy is still good, and mostly hears that it is.
fn answer(file: &File, headers: &HeaderMap) -> Response {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let caching = [(header::ETAG, TAG.as_str()), (header::CACHE_CONTROL, "no-cache")];
    if known.is_some_and(|known| known.split(',').any(|tag| tag.trim() == *TAG)) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    ([(header::CONTENT_TYPE, file.kind)], caching, file.text).into_response()
}

/// The link that records of alerts carry. It leads to where it stands below whatever a proxy put in front.
async fn permalink(Path(id): Path<String>) -> Response {
    let allowed = !id.is_empty() && id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match HeaderValue::try_from(format!("../#/alerts/{id}")) {
        Ok(place) if allowed => (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response(),
        _ => {
            (StatusCode::NOT_FOUND, "no alert has such an id: it is 32 hexadecimal digits\n").into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(path: &str) -> &'static str {
        FILES.iter().find(|file| file.path == path).unwrap().text
    }

    #[test]
    fn every_file_of_the_folder_is_served_and_every_import_is_there() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/serve/http/page");
        for folder in [folder.clone(), folder.join("vendor")] {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap();
                let served = FILES.iter().any(|file| file.path.ends_with(&format!("/{name}")));
                let is_page = [".js", ".css", ".svg"].iter().any(|end| name.ends_with(end));
                assert!(served || !is_page, "{name} is not served");
            }
        }
        for file in FILES.iter().filter(|file| file.kind == SCRIPT && !file.path.starts_with("/vendor/")) {
            for part in file.text.split("\"./").skip(1) {
                let name = part.split('"').next().unwrap();
                assert!(FILES.iter().any(|other| other.path == format!("/{name}")), "{}: {name}", file.path);
            }
        }
    }

    #[test]
    fn no_script_of_ours_makes_elements_from_text() {
        let forbidden =
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"];
        for file in FILES.iter().filter(|file| file.kind == SCRIPT) {
            for word in forbidden {
                assert!(!file.text.contains(word), "{}: {word}", file.path);
            }
            let ours = !file.path.starts_with("/vendor/");
            assert!(!ours || file.text.lines().count() <= 600, "{} is longer than 600 lines", file.path);
            assert!(!ours || !file.text.contains("setAttribute(\"style\""), "{}", file.path);
        }
        let page = text("/");
        for forbidden in ["<script>", "style=", "://", "<style"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn the_chart_library_is_the_one_that_was_published() {
        let written = include_str!("page/vendor/README.md");
        let code = |file: &&File| file.path.starts_with("/vendor/") && file.kind != TEXT;
        let vendored: Vec<_> = FILES.iter().filter(code).collect();
        assert_eq!(vendored.len(), 2);
        for file in vendored {
            let sum = blake3::hash(file.text.as_bytes()).to_hex();
            let name = file.path.trim_start_matches("/vendor/");
            assert!(written.contains(&format!("| `{name}` | `{sum}` |")), "{name} has checksum {sum}");
        }
    }

    #[test]
    fn all_files_together_are_small() {
        let mut all = Vec::new();
        FILES.iter().for_each(|file| all.extend(file.text.as_bytes()));
        let packed = zstd::encode_all(all.as_slice(), 3).unwrap();
        // Files are sent as they are; what a gzip proxy makes of them is about this.
        assert!(packed.len() < 300_000, "{} of {} bytes", packed.len(), all.len());
    }

    #[tokio::test]
    async fn a_permalink_leads_to_the_alerts_page_and_nowhere_else() {
        let id = "0123456789abcdef0123456789abcdef";
        let answer = permalink(Path(id.to_owned())).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert_eq!(answer.headers()[header::LOCATION], format!("../#/alerts/{id}"));
        for id in ["", "/evil.example", "a\r\nb", "%0d", "a b"] {
            assert_eq!(permalink(Path(id.to_owned())).await.status(), StatusCode::NOT_FOUND, "{id:?}");
        }
    }

    #[test]
    fn a_copy_that_is_still_good_is_not_sent_again() {
        let mut headers = HeaderMap::new();
        assert_eq!(answer(&FILES[0], &headers).status(), StatusCode::OK);
        headers.insert(header::IF_NONE_MATCH, TAG.parse().unwrap());
        assert_eq!(answer(&FILES[0], &headers).status(), StatusCode::NOT_MODIFIED);
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"other\""));
        assert_eq!(answer(&FILES[0], &headers).status(), StatusCode::OK);
    }
}
