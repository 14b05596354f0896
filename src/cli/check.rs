//! `anki-syncd check`: prints the findings, and repairs.

use std::{
    io::{self, Write},
    path::Path,
};

use super::{
    context::{CommandError, Context, print_json},
    password, question,
    table::printable,
};
use crate::check::{
    self,
    finding::{Finding, Findings, Repair, Severity},
    login::{self, Login},
    repair,
    subject::Subject,
    users_data,
};

/// A repair can make further ones possible: the server's account can check a file only once the
/// file belongs to it.
const ROUNDS: usize = 2;

/// A finding in JSON.
#[derive(serde::Serialize)]
struct ForPrograms<'a> {
    severity: Severity,
    id: &'static str,
    r#where: &'a str,
    what: &'a str,
    remedy: &'a str,
    repairable: bool,
}

/// What to check.
#[derive(clap::Args)]
pub struct Arguments {
    /// Fix what needs no decision of yours; asks before it changes anything
    #[arg(long)]
    repair: bool,
    /// Skip the confirmation
    #[arg(long, requires = "repair")]
    yes: bool,
    /// Test whether a device could log in at this address, as typed into Anki
    #[arg(long)]
    url: Option<String>,
    /// Log in as this user; asks for the password, or reads it from standard input
    #[arg(long, requires = "url")]
    user: Option<String>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
}

/// Fails with [`CommandError::Found`] if problems are left.
pub fn run(context: &Context, arguments: &Arguments) -> Result<(), CommandError> {
    let login = arguments.user.as_deref().map(ask_login).transpose()?;
    let mut subject = Subject::find(context.sources());
    let mut findings = look(&subject);
    let mut tried = Vec::new();
    let rounds = if arguments.repair { ROUNDS } else { 0 };
    for _ in 0..rounds {
        let mut repairs = findings.repairs();
        repairs.retain(|repair| !tried.contains(repair));
        if repairs.is_empty() {
            break;
        }
        make(&subject, &findings, &repairs, arguments)?;
        tried = repairs;
        subject = Subject::find(context.sources());
        findings = look(&subject);
    }
    if let Some(url) = &arguments.url {
        let settings = subject.settings.as_ref().ok();
        let limit = settings.map(|settings| settings.limits.sent);
        login::check(url, login.as_ref(), limit, &mut findings)?;
    }
    findings.0.sort_by_key(|finding| finding.severity);
    if arguments.json {
        print_json(&findings.0.iter().map(for_programs).collect::<Vec<_>>())?;
    } else {
        print(&findings)?;
    }
    match findings.count(Severity::Problem) {
        0 => Ok(()),
        1 => Err(CommandError::Found("one problem".to_owned())),
        many => Err(CommandError::Found(format!("{many} problems"))),
    }
}

/// Makes the repairs once the operator has confirmed them.
fn make(
    subject: &Subject,
    findings: &Findings,
    repairs: &[Repair],
    arguments: &Arguments,
) -> Result<(), CommandError> {
    if !arguments.json {
        print(findings)?;
    }
    if !arguments.yes && !agreed(repairs)? {
        let refused = "the repairs were not made".to_owned();
        return Err(CommandError::Refused(refused));
    }
    repair::carry_out(subject, repairs, |step| match step {
        Ok(done) => eprintln!("done: {}", printable(&done)),
        Err(failure) => eprintln!("not done: {}", printable(&failure)),
    });
    if !arguments.json {
        println!();
    }
    Ok(())
}

/// The part of a repair that runs as the server's account. Reads the repairs from standard input,
/// and writes each step to standard output.
pub fn mend(base: &Path) -> Result<(), CommandError> {
    let data = serde_json::from_reader(io::stdin().lock()).map_err(io::Error::from)?;
    repair::here(base, data, |step| {
        if let Ok(line) = serde_json::to_string(&step) {
            println!("{line}");
        }
    });
    Ok(())
}

/// The part of a check that runs as the server's account. Reads [`check::data::Data`] from standard
/// input, and writes the findings to standard output.
pub fn look_at_data() -> Result<(), CommandError> {
    let data = serde_json::from_reader(io::stdin().lock()).map_err(io::Error::from)?;
    let mut findings = Findings::default();
    users_data::look(&data, &mut findings);
    let found = serde_json::to_string(&findings.0).map_err(io::Error::from)?;
    Ok(writeln!(io::stdout(), "{found}")?)
}

fn look(subject: &Subject) -> Findings {
    let mut findings = Findings::default();
    check::look(subject, &mut findings);
    findings.0.sort_by_key(|finding| finding.severity);
    findings
}

fn ask_login(user: &str) -> Result<Login, CommandError> {
    Ok(Login {
        user: user.to_owned(),
        password: password::ask(&format!("Password of {user}"))?,
    })
}

fn agreed(repairs: &[Repair]) -> Result<bool, CommandError> {
    let mut what = vec!["Repairs:".to_owned()];
    let repairs = repairs.iter().map(Repair::describe);
    what.extend(repairs.map(|repair| format!("  - {repair}")));
    what.push("Make these repairs?".to_owned());
    question::agreed(
        &what.join("\n"),
        io::stderr(),
        "there is no terminal to ask on: add --yes to repair without a confirmation",
    )
}

fn for_programs(finding: &Finding) -> ForPrograms<'_> {
    ForPrograms {
        severity: finding.severity,
        id: finding.id.name(),
        r#where: &finding.place,
        what: &finding.what,
        remedy: &finding.remedy,
        repairable: finding.repair.is_some(),
    }
}

fn print(findings: &Findings) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for finding in &findings.0 {
        let (severity, id) = (finding.severity, finding.id.name());
        let found = format!("{severity}: {}: {}  [{id}]", finding.place, finding.what);
        // Users choose the names of files and tables, which may contain control characters.
        let (found, remedy) = (printable(&found), printable(&finding.remedy));
        writeln!(out, "{found}\n    {remedy}")?;
    }
    let severities = [Severity::Problem, Severity::Warning, Severity::Note];
    let counts = severities.map(|severity| match findings.count(severity) {
        1 => format!("1 {severity}"),
        many => format!("{many} {severity}s"),
    });
    writeln!(out, "{}", counts.join(", "))
}
