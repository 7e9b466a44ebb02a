//! E-mail by SMTP (RFC 5321). A message's id is made of the alert's and the revision, so that mail programs can tell
//! a repeated delivery; all mails of an alert name the alert in `References`, so that they stand together whichever of
//! them was sent first.

use std::time::Duration;

use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::{AsyncSmtpTransportBuilder, Error as SmtpError};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::secrets::Secrets;
use super::shape::Outcome;
use super::text::{lines, one_line, shortened};
use super::{AlertRecord, Status};

/// Longest subject in bytes; a line of a message may have 998 (RFC 5322, 2.1.1).
const SUBJECT: usize = 200;

/// Receivers behind an SMTP server.
pub struct Email {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
    secrets: Secrets,
}

impl Email {
    /// `url` as lettre takes it: `smtp://user:password@host:587?tls=required`, `smtps://host`, `smtp://host:25`.
    ///
    /// Must be called within a Tokio runtime: connections are kept by a task.
    ///
    /// # Errors
    /// The address of the server, or one of a person, cannot be used; it says which, without the password.
    pub fn new(url: &str, from: &str, to: &[String], timeout: Duration) -> Result<Self, String> {
        let transport = builder(url)?.timeout(Some(timeout)).build();
        Ok(Self {
            transport,
            secrets: Secrets::of_address(url, false),
            from: mailbox(from)?,
            to: to.iter().map(|to| mailbox(to)).collect::<Result<_, _>>()?,
        })
    }

    /// Tells everybody of `record`. One address that the server will not take keeps nobody else from being told.
    pub async fn deliver(&self, record: &AlertRecord) -> Outcome {
        match self.send(record, &self.to).await {
            Outcome::Refused(_) if self.to.len() > 1 => {}
            outcome => return outcome,
        }
        let mut refused = Vec::new();
        for to in &self.to {
            match self.send(record, std::slice::from_ref(to)).await {
                Outcome::Delivered => {}
                Outcome::Refused(why) => refused.push(format!("{}: {why}", to.email)),
                retry @ Outcome::Retry { .. } => return retry,
            }
        }
        if refused.is_empty() {
            return Outcome::Delivered;
        }
        let others = self.to.len() - refused.len();
        Outcome::Refused(format!("{}; {others} other addresses were told", refused.join("; ")))
    }

    async fn send(&self, record: &AlertRecord, to: &[Mailbox]) -> Outcome {
        let message = match self.message(record, to) {
            Ok(message) => message,
            Err(why) => return Outcome::Refused(why),
        };
        match self.transport.send(message).await {
            Ok(_) => Outcome::Delivered,
            Err(error) => outcome(&error, &self.secrets),
        }
    }

    /// Whether the server answers and lets us sign in, without sending anything.
    ///
    /// # Errors
    /// It does not.
    pub async fn probe(&self) -> Result<String, String> {
        match self.transport.test_connection().await {
            Ok(true) => Ok("answers".to_owned()),
            Ok(false) => Err("does not answer as a mail server does".to_owned()),
            Err(error) => Err(self.secrets.hide(&error.to_string())),
        }
    }

    fn message(&self, record: &AlertRecord, to: &[Mailbox]) -> Result<Message, String> {
        let domain = self.from.email.domain();
        let mut builder = Message::builder()
            .from(self.from.clone())
            .subject(one_line(&shortened(&record.headline(), SUBJECT)))
            .message_id(Some(format!("<{}-{}@{domain}>", record.id, record.revision)))
            // No `In-Reply-To`: an earlier mail may have been muted, or gone to others.
            .references(format!("<{}@{domain}>", record.id))
            .header(ContentType::TEXT_PLAIN);
        for to in to {
            builder = builder.to(to.clone());
        }
        builder.body(body(record)).map_err(|error| format!("no message can be made of it: {error}"))
    }
}

/// Reads the address of a server.
///
/// # Errors
/// It cannot be used; why, without the password.
pub fn builder(url: &str) -> Result<AsyncSmtpTransportBuilder, String> {
    AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
        .map_err(|error| format!("the address of the server cannot be used: {error}"))
}

/// A person's address.
///
/// # Errors
/// It is none; it says which.
pub fn mailbox(address: &str) -> Result<Mailbox, String> {
    address.parse().map_err(|error| format!("`{}` is no e-mail address: {error}", address.escape_debug()))
}

/// 5xx answers are final, all else may work later (RFC 5321, 4.2.1).
fn outcome(error: &SmtpError, secrets: &Secrets) -> Outcome {
    let why = secrets.hide(&error.to_string());
    if error.is_permanent() { Outcome::Refused(why) } else { Outcome::Retry { why, after: None } }
}

fn body(record: &AlertRecord) -> String {
    let mut text = format!("{}\n\n", record.headline());
    for (name, value) in record.facts() {
        text.push_str(&format!("{name}: {}\n", one_line(&value)));
    }
    if !record.reasons.is_empty() {
        text.push_str("\nWhy:\n");
        for reason in &record.reasons {
            text.push_str(&format!("  {}\n", one_line(reason)));
        }
    }
    if !record.evidence.is_empty() && record.status != Status::Resolved {
        text.push_str("\nLines:\n");
        for line in &record.evidence {
            let level = line.level.as_deref().unwrap_or("-");
            text.push_str(&format!("  {} {level} {}\n", line.timestamp, lines(&line.message)));
        }
    }
    if let Some(link) = &record.link {
        text.push_str(&format!("\n{link}\n"));
    }
    text
}
