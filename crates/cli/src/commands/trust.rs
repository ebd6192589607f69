//! `l0 trust`.

use layer0_api::types::CreateTrustRequest;

use crate::app::App;
use crate::args::trust::Trust;
use crate::error::CliError;
use crate::printer::access_rows as rows;

/// Who signs the tokens of GitHub's actions ("OpenID Connect reference").
const GITHUB: &str = "https://token.actions.githubusercontent.com";

/// Who signs the ID tokens of gitlab.com.
const GITLAB: &str = "https://gitlab.com";

pub(crate) async fn run(app: &App, verb: Trust) -> Result<(), CliError> {
    match verb {
        Trust::Create { owner, name, github, gitlab, issuer, claims, aws, scopes, minutes, audience } => {
            let (issuer, first) = match (github, gitlab) {
                (Some(repository), _) => (Some(GITHUB.to_owned()), Some(format!("repository={repository}"))),
                (None, Some(project)) => (Some(GITLAB.to_owned()), Some(format!("project_path={project}"))),
                (None, None) => (issuer, None),
            };
            let request = CreateTrustRequest {
                trust_name: name,
                issuer,
                claims: first.into_iter().chain(claims).collect(),
                aws,
                audience: audience.unwrap_or_else(|| app.client.endpoint().to_owned()),
                scopes,
                minutes,
            };
            let made = app.client.trust_create(&owner, &request).await.map_err(|why| app.error(why))?;
            app.printer.result(&[made][..], rows::trust_table)
        }
        Trust::List { owner } => {
            let all = app.client.trust_list(&owner).await.map_err(|why| app.error(why))?;
            app.printer.result(&all[..], rows::trust_table)
        }
        Trust::Delete { owner, name } => {
            app.client.trust_delete(&owner, &name).await.map_err(|why| app.error(why))?;
            Ok(())
        }
    }
}
