//! The port `Account` on the account in memory.

mod suite;

use layer0_domain::model::grant::AccountId;
use layer0_setup::account::fake::FakeAccount;

async fn account() -> FakeAccount {
    FakeAccount::new(AccountId::parse("123456789012").expect("an id"), "us-east-1")
}

suite::suite!(account());
