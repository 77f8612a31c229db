use cairn_node::api::command::Request;

use super::Setting;
use crate::args::GroupArg;
use crate::error::Failure;
use crate::output::{answer, counted};

/// Make a code that lets someone ask to join
///
/// Hand the code over where nobody else reads along. Who has it can ask to join; you or another
/// moderator admits them (`cairn requests`).
#[derive(Debug, clap::Args)]
pub(crate) struct InviteArgs {
    #[command(flatten)]
    group: GroupArg,
    /// What the newcomer becomes
    #[arg(long, default_value = "member", value_parser = super::grant::RANKS)]
    rank: String,
    /// How many people may be admitted with the code
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    uses: u16,
    /// How long the code is honoured: 30m, 12h, 7d, 4w
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = seconds)]
    expires: u64,
    /// Admit whoever has the code without asking
    #[arg(long)]
    at_once: bool,
}

pub(crate) async fn run(setting: &Setting, args: InviteArgs) -> Result<(), Failure> {
    let mut door = setting.door().await?;
    let request = Request::Invite {
        group: args.group.group,
        rank: args.rank,
        uses: args.uses,
        expires_in_seconds: Some(args.expires),
        at_once: args.at_once,
    };
    let answer = door.call(request).await?;
    setting.out.show(&answer, |_, answer| answer::text(answer, "code"))?;
    setting.out.remark(&format!(
        "{} can be admitted with this code. Hand it over in private.",
        counted(u64::from(args.uses), "person")
    ));
    if !door.is_node() {
        setting.out.remark("Nobody can use it before your node runs: `cairn up`.");
    }
    Ok(())
}

/// `90s`, `30m`, `12h`, `7d`, `4w` in seconds.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || "a number and a unit, for example 30m, 12h, 7d or 4w".to_owned();
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.strip_prefix(number).unwrap_or_default() {
        "s" => 1_u64,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|seconds| *seconds > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn terms_are_read() {
        assert_eq!(seconds("7d"), Ok(604_800));
        assert_eq!(seconds("30m"), Ok(1800));
        for wrong in ["", "7", "d", "0d", "-1d", "7 days", "99999999999999999999d", "7é"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }
}
