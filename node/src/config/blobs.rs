//! Where a dispatcher's blobs lie, as its file says it. Credentials never stand in that file: they
//! come from the environment, or from a file that only this user can read.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use proofgrid_store::blob::{BlobStoreConfig, BucketConfig, BucketCredentials};
use secrecy::SecretString;
use serde::Deserialize;

use crate::keystore::read_password;

/// Environment variables with the name of the key, its secret, and the token of a short-lived key.
const CREDENTIALS: [&str; 3] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// Where whole blobs lie.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum BlobsSection {
    /// In files below the data directory.
    Files {},
    /// In a bucket of an S3-compatible object store.
    S3(BucketSection),
}

/// A bucket of an S3-compatible object store.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BucketSection {
    /// Its name; it has to exist.
    pub bucket: String,
    /// What the keys of all blobs begin with; two dispatchers never share one.
    #[serde(default)]
    pub prefix: String,
    /// URL of the object store; AWS of the region if absent.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// Region that requests are signed for; most stores but AWS take any.
    #[serde(default = "default_region")]
    pub region: String,
    /// Whether the endpoint may be plain HTTP.
    #[serde(default)]
    pub allow_http: bool,
    /// File with the credentials, as AWS's tools write it with one profile; the environment if
    /// absent.
    #[serde(default)]
    pub credentials_file: Option<PathBuf>,
}

fn default_region() -> String {
    "us-east-1".to_owned()
}

impl Default for BlobsSection {
    fn default() -> Self {
        Self::Files {}
    }
}

impl BlobsSection {
    /// The blob store's settings below `data_dir`, with credentials looked up in `environment`.
    ///
    /// # Errors
    /// When there are no credentials, or their file cannot be used.
    pub fn build(
        &self,
        data_dir: &Path,
        environment: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<BlobStoreConfig> {
        let bucket = match self {
            Self::Files {} => None,
            Self::S3(section) => Some(section.build(environment)?),
        };
        Ok(BlobStoreConfig { bucket, ..BlobStoreConfig::new(data_dir.join("blobs")) })
    }
}

impl BucketSection {
    fn build(&self, environment: impl Fn(&str) -> Option<String>) -> anyhow::Result<BucketConfig> {
        let credentials = match &self.credentials_file {
            Some(path) => credentials_in(path)?,
            None => {
                let [key_id, secret, token] = CREDENTIALS;
                credentials(environment(key_id), environment(secret), environment(token))
                    .with_context(|| {
                        format!(
                            "the bucket {:?} needs credentials: set {key_id} and {secret}, or name \
                             a credentials_file",
                            self.bucket
                        )
                    })?
            }
        };
        Ok(BucketConfig {
            name: self.bucket.clone(),
            prefix: self.prefix.clone(),
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            allow_http: self.allow_http,
            credentials,
        })
    }
}

fn credentials(
    key_id: Option<String>,
    secret: Option<String>,
    session_token: Option<String>,
) -> Option<BucketCredentials> {
    let given = |value: Option<String>| value.filter(|value| !value.is_empty());
    Some(BucketCredentials {
        key_id: given(key_id)?,
        secret: SecretString::from(given(secret)?),
        session_token: given(session_token).map(SecretString::from),
    })
}

/// Reads `key = value` lines under at most one `[profile]`. What a line holds is never shown.
fn credentials_in(path: &Path) -> anyhow::Result<BucketCredentials> {
    let text = read_password(path)?;
    let [mut key_id, mut secret, mut token] = [None, None, None];
    let mut profiles = 0;
    for (index, line) in text.lines().enumerate() {
        let (number, line) = (index.saturating_add(1), line.trim());
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with('[') {
            profiles += 1;
            ensure!(
                profiles == 1,
                "{} has several profiles; write a file with one",
                path.display()
            );
            continue;
        }
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        let place = match name.trim() {
            "aws_access_key_id" => &mut key_id,
            "aws_secret_access_key" => &mut secret,
            "aws_session_token" => &mut token,
            _ => bail!("line {number} of {} is no credential; remove it", path.display()),
        };
        *place = Some(value.trim().to_owned());
    }
    credentials(key_id, secret, token).with_context(|| {
        format!("{} lacks aws_access_key_id or aws_secret_access_key", path.display())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;
    use crate::keystore::create_private;

    const SECRET: &str = "hush-4711";

    fn section(text: &str) -> Result<BlobsSection, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    fn build(text: &str, environment: &[(&str, &str)]) -> anyhow::Result<BlobStoreConfig> {
        let environment: HashMap<&str, &str> = environment.iter().copied().collect();
        let section = section(text).expect("parses");
        section.build(Path::new("/data"), |name| environment.get(name).map(ToString::to_string))
    }

    #[test]
    fn blobs_lie_in_files_unless_a_bucket_is_named() {
        let files = build("kind = \"files\"", &[]).expect("needs nothing");
        assert!(files.bucket.is_none());
        assert_eq!(files.directory, Path::new("/data/blobs"));
        assert!(matches!(BlobsSection::default(), BlobsSection::Files {}));
        let environment = [("AWS_ACCESS_KEY_ID", "me"), ("AWS_SECRET_ACCESS_KEY", SECRET)];
        let stored = build("kind = \"s3\"\nbucket = \"blobs\"", &environment).expect("complete");
        let bucket = stored.bucket.as_ref().expect("a bucket");
        assert_eq!((bucket.name.as_str(), bucket.region.as_str()), ("blobs", "us-east-1"));
        assert_eq!(bucket.credentials.secret.expose_secret(), SECRET);
        assert!(!bucket.allow_http && bucket.credentials.session_token.is_none());
        let shown = format!("{stored:?}");
        assert!(!shown.contains(SECRET), "{shown}");
    }

    #[test]
    fn a_bucket_without_credentials_says_where_they_are_looked_for() {
        let only_half = [("AWS_ACCESS_KEY_ID", "me"), ("AWS_SECRET_ACCESS_KEY", "")];
        let error = build("kind = \"s3\"\nbucket = \"blobs\"", &only_half).expect_err("incomplete");
        let text = format!("{error:#}");
        assert!(text.contains("AWS_SECRET_ACCESS_KEY") && text.contains("credentials_file"));
        for wrong in [
            "kind = \"s3\"",
            "kind = \"ftp\"",
            "kind = \"files\"\nbucket = \"blobs\"",
            "kind = \"s3\"\nbucket = \"blobs\"\nsecret = \"x\"",
        ] {
            section(wrong).expect_err(wrong);
        }
    }

    #[test]
    fn credentials_come_from_a_private_file_and_are_never_shown() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("credentials");
        let write = |text: &str| {
            let _ = std::fs::remove_file(&path);
            create_private(&path, text.as_bytes()).expect("written");
            credentials_in(&path)
        };
        let good = format!(
            "[default]\n# ours\naws_access_key_id = me\naws_secret_access_key={SECRET}\n\
             aws_session_token = {SECRET}=\n"
        );
        let read = write(&good).expect("complete");
        assert_eq!((read.key_id.as_str(), read.secret.expose_secret()), ("me", SECRET));
        assert!(!format!("{read:?}").contains(SECRET));
        for bad in [
            format!("aws_secret_access_key = {SECRET}"),
            format!("aws_access_key_id = me\n{SECRET}\n"),
            format!("{good}[other]\naws_access_key_id = you\n"),
        ] {
            let error = write(&bad).expect_err("refused");
            assert!(!format!("{error:#}").contains(SECRET), "{error:#}");
        }
        write(&good).expect("complete");
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).expect("changed");
        let error = credentials_in(&path).expect_err("others could read it");
        assert!(error.to_string().contains("chmod 600"), "{error}");
    }
}
