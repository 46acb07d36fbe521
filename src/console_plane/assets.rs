//! The browser half's files: where they are, what they are called in this build, and how they are served.

use std::path::{Path, PathBuf};

use axum::{Router, routing::get_service};
use http::{HeaderValue, header};
use tower_http::{
    services::{ServeDir, ServeFile},
    set_header::SetResponseHeaderLayer,
};

use super::shell::Assets;

#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    #[error("the browser half is not built: there is no folder `site` beside {0}. Build with make build or make run.")]
    Missing(PathBuf),
    #[error("{0} is damaged: build again")]
    Damaged(PathBuf),
}

/// The folder that `make build` puts beside the program.
#[derive(Clone, Debug)]
pub struct Site {
    folder: PathBuf,
    pub assets: Assets,
}

impl Site {
    /// Found relative to the program, never to the working folder. A test program is one folder below.
    pub fn find() -> Result<Self, SiteError> {
        let program = std::env::current_exe().unwrap_or_default();
        let folder = program
            .ancestors()
            .skip(1)
            .take(2)
            .map(|folder| folder.join("site"))
            .find(|site| site.join("assets.json").is_file())
            .ok_or(SiteError::Missing(program))?;
        let assets = read(&folder.join("assets.json"))?;
        Ok(Self { folder, assets })
    }

    /// Hashed names may be kept for a year; the rest is asked for again after an hour.
    pub fn routes<S: Clone + Send + Sync + 'static>(&self) -> Router<S> {
        let cached = |value| SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, HeaderValue::from_static(value));
        let pkg = ServeDir::new(self.folder.join("pkg"))
            .append_index_html_on_directories(false)
            .precompressed_br()
            .precompressed_gzip();
        let favicon = ServeFile::new(self.folder.join("favicon.svg")).precompressed_br().precompressed_gzip();
        Router::new()
            .nest_service("/pkg", tower::ServiceBuilder::new().layer(axum::middleware::from_fn(keep)).service(pkg))
            .route("/favicon.svg", get_service(favicon).layer(cached("public, max-age=3600")))
    }
}

/// Only what is there may be kept: a browser must not remember for a year that a file was missing.
async fn keep(request: axum::extract::Request, next: axum::middleware::Next) -> axum::response::Response {
    let mut response = next.run(request).await;
    if response.status().is_success() {
        let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
        response.headers_mut().insert(header::CACHE_CONTROL, forever);
    }
    response
}

fn read(path: &Path) -> Result<Assets, SiteError> {
    let damaged = || SiteError::Damaged(path.to_owned());
    serde_json::from_slice(&std::fs::read(path).map_err(|_| damaged())?).map_err(|_| damaged())
}
