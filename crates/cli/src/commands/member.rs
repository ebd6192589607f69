//! `l0 member`.

use layer0_api::types::PutMemberRequest;

use crate::app::App;
use crate::args::member::Member;
use crate::error::CliError;
use crate::printer::access_rows as rows;

pub(crate) async fn run(app: &App, verb: Member) -> Result<(), CliError> {
    match verb {
        Member::Add { owner, user, role, tags } => {
            let request = PutMemberRequest { role: role.wire().to_owned(), tags };
            let member = app.client.member_put(&owner, &user, &request).await.map_err(|why| app.error(why))?;
            app.printer.result(&[member][..], rows::member_table)
        }
        Member::List { owner } => {
            let all = app.client.member_list(&owner).await.map_err(|why| app.error(why))?;
            app.printer.result(&all[..], rows::member_table)
        }
        Member::Remove { owner, user } => {
            app.client.member_delete(&owner, &user).await.map_err(|why| app.error(why))?;
            Ok(())
        }
    }
}
