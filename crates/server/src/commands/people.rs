//! `grantry users` and `grantry accounts`.

use super::list::{self, Page, Rows, body, given};
use super::target::Target;
use crate::failure::Failure;
use crate::out::confirm::Sure;

/// Users: people of an account.
#[derive(clap::Args)]
pub struct Users {
    #[command(subcommand)]
    act: UserAct,
    /// The account that they are people of; for the server's operator
    #[arg(long, value_name = "ACCOUNT", global = true)]
    account: Option<String>,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Subcommand)]
enum UserAct {
    /// List them
    List {
        /// Only those with this text in id, mail address or name
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Show one person and their teams
    Show {
        /// Their id or mail address
        user: String,
    },
    /// Add a person
    Create {
        /// Unique in the account
        #[arg(long)]
        email: String,
        #[command(flatten)]
        name: Name,
    },
    /// Change a person
    Update {
        /// Their id or mail address
        user: String,
        /// Another mail address
        #[arg(long)]
        email: Option<String>,
        #[command(flatten)]
        name: Name,
    },
    /// Delete a person and their keys
    Delete {
        /// Their id or mail address
        user: String,
        #[command(flatten)]
        sure: Sure,
    },
}

#[derive(clap::Args)]
struct Name {
    /// Given name
    #[arg(long)]
    first_name: Option<String>,
    /// Family name
    #[arg(long)]
    last_name: Option<String>,
}

const USERS: Rows<5> = Rows {
    path: "/users",
    columns: [
        list::id("ID", &["/id"]),
        list::text("EMAIL", &["/email"]),
        list::text("FIRST NAME", &["/first_name"]),
        list::text("LAST NAME", &["/last_name"]),
        list::time("CREATED", &["/created_at"]),
    ],
    none: "There is nobody yet. Add a person: grantry users create --email EMAIL",
};

/// Does what was asked of users.
pub async fn users(args: Users) -> Result<(), Failure> {
    let (client, form) = args.target.open()?;
    let client = client.in_account(args.account);
    match args.act {
        UserAct::List { search, page } => {
            let filter = given([("search", &search)])?;
            USERS.list(&client, &filter, &page, form).await
        }
        UserAct::Show { user } => USERS.show(&client, &user, form).await,
        UserAct::Create { email, name } => {
            let body = body([
                ("email", Some(email)),
                ("first_name", name.first_name),
                ("last_name", name.last_name),
            ]);
            USERS.create(&client, body, form).await
        }
        UserAct::Update { user, email, name } => {
            let body = body([
                ("email", email),
                ("first_name", name.first_name),
                ("last_name", name.last_name),
            ]);
            USERS.change(&client, &user, body, form).await
        }
        UserAct::Delete { user, sure } => {
            let question = format!("Delete {user} and their keys?");
            USERS
                .delete(&client, &user, (sure, question), "deleted", form)
                .await
        }
    }
}

/// Accounts: owners of teams; for the server's operator.
#[derive(clap::Args)]
pub struct Accounts {
    #[command(subcommand)]
    act: AccountAct,
    #[command(flatten)]
    target: Target,
}

#[derive(clap::Subcommand)]
enum AccountAct {
    /// List them
    List {
        /// Only those with this text in id or name
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
        #[command(flatten)]
        page: Page,
    },
    /// Show one account
    Show {
        /// Its id
        account: String,
    },
    /// Make an account
    Create {
        /// For people
        #[arg(long)]
        name: String,
    },
    /// Give an account another name
    Update {
        /// Its id
        account: String,
        /// The name
        #[arg(long)]
        name: String,
    },
    /// Delete an account without teams
    Delete {
        /// Its id
        account: String,
        #[command(flatten)]
        sure: Sure,
    },
}

const ACCOUNTS: Rows<3> = Rows {
    path: "/accounts",
    columns: [
        list::id("ID", &["/id"]),
        list::text("NAME", &["/name"]),
        list::time("CREATED", &["/created_at"]),
    ],
    none: "There are no accounts yet. Make one: grantry accounts create --name NAME",
};

/// Does what was asked of accounts.
pub async fn accounts(args: Accounts) -> Result<(), Failure> {
    let (client, form) = args.target.open()?;
    match args.act {
        AccountAct::List { search, page } => {
            let filter = given([("search", &search)])?;
            ACCOUNTS.list(&client, &filter, &page, form).await
        }
        AccountAct::Show { account } => ACCOUNTS.show(&client, &account, form).await,
        AccountAct::Create { name } => {
            let body = body([("name", Some(name))]);
            ACCOUNTS.create(&client, body, form).await
        }
        AccountAct::Update { account, name } => {
            let body = body([("name", Some(name))]);
            ACCOUNTS.change(&client, &account, body, form).await
        }
        AccountAct::Delete { account, sure } => {
            let question = format!("Delete account {account}?");
            ACCOUNTS
                .delete(&client, &account, (sure, question), "deleted", form)
                .await
        }
    }
}
