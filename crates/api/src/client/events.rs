//! Server-sent events: operations, logs, the audit log, verifications and sweeps as they happen.

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt};
use reqwest::Method;
use serde::de::DeserializeOwned;

use super::{Client, ClientError, segment};
use crate::error::{ErrorBody, ErrorCode};
use crate::types::{
    AccountGrant, AccountQuery, AuditEntry, AuditQuery, LogLine, LogQuery, Migration, MigrationQuery, Operation,
    OperationEvent, SweepProgress, SweepReport, SweepStray, VerifyFinding, VerifyProgress, VerifyReport, VerifyRequest,
};

/// What following an operation yields.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one of it exists for each event, and it is moved once")]
pub enum Followed {
    /// Something happened.
    Event(OperationEvent),
    /// The operation came to its end; nothing follows.
    End(Operation),
}

/// What a verification yields.
#[derive(Debug, Clone, PartialEq)]
pub enum Verified {
    /// It has come so far.
    Progress(VerifyProgress),
    /// It has found something.
    Finding(VerifyFinding),
    /// It came to its end; nothing follows.
    End(VerifyReport),
}

/// What following an account grant yields.
#[derive(Debug, Clone, PartialEq)]
pub enum GrantFollowed {
    /// It has come so far.
    Progress(AccountGrant),
    /// It came to its end; nothing follows.
    End(AccountGrant),
}

/// What following the move of a repository yields.
#[derive(Debug, Clone, PartialEq)]
pub enum MigrationFollowed {
    /// It has come so far.
    Progress(Migration),
    /// Nothing more happens by itself; nothing follows.
    End(Migration),
}

/// What a sweep yields.
#[derive(Debug, Clone, PartialEq)]
pub enum Swept {
    /// It has come so far.
    Progress(SweepProgress),
    /// It is known what came of a stray.
    Stray(SweepStray),
    /// It came to its end; nothing follows.
    End(SweepReport),
}

impl Client {
    /// Begins a sweep of strays, or joins the one that runs, and follows it to its end. Whoever joins hears of all strays so
    /// far first. The stream may break off (`Err` or an end without [`Swept::End`]) when the server restarts, which ends the
    /// run: call again to begin another one, which finds what is left.
    ///
    /// # Errors
    /// When the server refuses or can't be reached.
    pub async fn admin_sweep(&self) -> Result<BoxStream<'static, Result<Swept, ClientError>>, ClientError> {
        let answer = self.send(self.request(Method::POST, "/admin/sweep")).await?;
        let frames = frames(self.clone(), answer.bytes_stream());
        Ok(frames
            .filter_map(|frame| async move {
                match frame {
                    Ok(frame) if frame.event == "progress" => frame.read().map(|it| Ok(Swept::Progress(it))),
                    Ok(frame) if frame.event == "stray" => frame.read().map(|it| Ok(Swept::Stray(it))),
                    Ok(frame) if frame.event == "end" => frame.read().map(|it| Ok(Swept::End(it))),
                    Ok(_) => None,
                    Err(why) => Some(Err(why)),
                }
            })
            .boxed())
    }

    /// Begins a verification of the registry, or joins the one that runs, and follows it to its end. Whoever joins hears
    /// of all findings so far first. The stream may break off (`Err` or an end without [`Verified::End`]) when the server
    /// restarts, which ends the run: call again to begin another one.
    ///
    /// # Errors
    /// When the server refuses or can't be reached.
    pub async fn admin_verify(
        &self,
        request: &VerifyRequest,
    ) -> Result<BoxStream<'static, Result<Verified, ClientError>>, ClientError> {
        let answer = self.send(self.request(Method::POST, "/admin/verify").json(request)).await?;
        let frames = frames(self.clone(), answer.bytes_stream());
        Ok(frames
            .filter_map(|frame| async move {
                match frame {
                    Ok(frame) if frame.event == "progress" => frame.read().map(|it| Ok(Verified::Progress(it))),
                    Ok(frame) if frame.event == "finding" => frame.read().map(|it| Ok(Verified::Finding(it))),
                    Ok(frame) if frame.event == "end" => frame.read().map(|it| Ok(Verified::End(it))),
                    Ok(_) => None,
                    Err(why) => Some(Err(why)),
                }
            })
            .boxed())
    }

    /// Follows an account grant until it is carried out, refused or gone. The stream may break off (`Err` or an end without
    /// [`GrantFollowed::End`]) when the server restarts: call again.
    ///
    /// # Errors
    /// When there is no such grant or the server can't be reached.
    pub async fn account_follow(
        &self,
        query: &AccountQuery,
    ) -> Result<BoxStream<'static, Result<GrantFollowed, ClientError>>, ClientError> {
        let answer = self.send(self.request(Method::GET, "/account/events").query(query)).await?;
        let frames = frames(self.clone(), answer.bytes_stream());
        Ok(frames
            .filter_map(|frame| async move {
                match frame {
                    Ok(frame) if frame.event == "grant" => frame.read().map(|it| Ok(GrantFollowed::Progress(it))),
                    Ok(frame) if frame.event == "end" => frame.read().map(|it| Ok(GrantFollowed::End(it))),
                    Ok(_) => None,
                    Err(why) => Some(Err(why)),
                }
            })
            .boxed())
    }

    /// Follows the move of a repository until nothing more happens by itself. The stream may break off (`Err` or an end without
    /// [`MigrationFollowed::End`]) when the server restarts: call again.
    ///
    /// # Errors
    /// When the repository was never moved or the server can't be reached.
    pub async fn migration_follow(
        &self,
        query: &MigrationQuery,
    ) -> Result<BoxStream<'static, Result<MigrationFollowed, ClientError>>, ClientError> {
        let answer = self.send(self.request(Method::GET, "/migration/events").query(query)).await?;
        let frames = frames(self.clone(), answer.bytes_stream());
        Ok(frames
            .filter_map(|frame| async move {
                match frame {
                    Ok(frame) if frame.event == "migration" => {
                        frame.read().map(|it| Ok(MigrationFollowed::Progress(it)))
                    }
                    Ok(frame) if frame.event == "end" => frame.read().map(|it| Ok(MigrationFollowed::End(it))),
                    Ok(_) => None,
                    Err(why) => Some(Err(why)),
                }
            })
            .boxed())
    }

    /// Follows an operation from the event after `after` to its end. The stream may break off (`Err` or an end without
    /// [`Followed::End`]) when the server restarts: call again with the last sequence seen.
    ///
    /// # Errors
    /// When the operation does not exist or the server can't be reached.
    pub async fn operation_follow(
        &self,
        id: &str,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Followed, ClientError>>, ClientError> {
        let path = format!("/operation/{}/events", segment(id));
        let answer = self.send(self.request(Method::GET, &path).query(&[("after", after)])).await?;
        let frames = frames(self.clone(), answer.bytes_stream());
        Ok(frames
            .filter_map(|frame| async move {
                match frame {
                    Ok(frame) if frame.event == "event" => frame.read().map(|event| Ok(Followed::Event(event))),
                    Ok(frame) if frame.event == "end" => frame.read().map(|end| Ok(Followed::End(end))),
                    Ok(_) => None,
                    Err(why) => Some(Err(why)),
                }
            })
            .boxed())
    }

    /// Follows the log of a service, a task or an environment.
    ///
    /// # Errors
    /// When the entity does not exist or the server can't be reached.
    pub async fn log_follow(
        &self,
        kind: &str,
        id: &str,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine, ClientError>>, ClientError> {
        self.lines_follow(&format!("/{kind}/{}/logs", segment(id)), query).await
    }

    /// Follows the log of the instance. It ends only with the server: call again.
    ///
    /// # Errors
    /// When the caller may not read it or the server can't be reached.
    pub async fn admin_log_follow(
        &self,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine, ClientError>>, ClientError> {
        self.lines_follow("/admin/logs", query).await
    }

    async fn lines_follow(
        &self,
        path: &str,
        query: &LogQuery,
    ) -> Result<BoxStream<'static, Result<LogLine, ClientError>>, ClientError> {
        let query = LogQuery { follow: Some("true".to_owned()), ..query.clone() };
        let answer = self.send(self.request(Method::GET, path).query(&query)).await?;
        let frames = frames(self.clone(), answer.bytes_stream());
        Ok(frames
            .filter_map(|frame| async move {
                match frame {
                    Ok(frame) if frame.event == "line" => frame.read().map(Ok),
                    Ok(frame) if frame.event == "error" => frame.read().map(|body| Err(refused(body))),
                    Ok(_) => None,
                    Err(why) => Some(Err(why)),
                }
            })
            .boxed())
    }

    /// Follows the audit log: the records that the query asks for, and then each one as it is written. The stream may break
    /// off when the server restarts: call again with `after` set to the last sequence seen.
    ///
    /// # Errors
    /// When the caller may not read it or the server can't be reached.
    pub async fn audit_follow(
        &self,
        query: &AuditQuery,
    ) -> Result<BoxStream<'static, Result<AuditEntry, ClientError>>, ClientError> {
        let query = AuditQuery { follow: Some("true".to_owned()), ..query.clone() };
        let answer = self.send(self.request(Method::GET, "/admin/audit").query(&query)).await?;
        let frames = frames(self.clone(), answer.bytes_stream());
        Ok(frames
            .filter_map(|frame| async move {
                match frame {
                    Ok(frame) if frame.event == "entry" => frame.read().map(Ok),
                    Ok(_) => None,
                    Err(why) => Some(Err(why)),
                }
            })
            .boxed())
    }
}

/// One event of the stream (HTML Living Standard, "Interpreting an event stream").
#[derive(Debug, Default)]
struct Frame {
    event: String,
    data: String,
}

impl Frame {
    fn read<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_str(&self.data).ok()
    }
}

/// What a server says in the middle of an answer, as if it had begun with it.
fn refused(body: ErrorBody) -> ClientError {
    let status = ErrorCode::ALL.iter().find(|code| code.as_str() == body.error_code).map_or(500, |code| code.status());
    ClientError::Refused { status, body: Box::new(body) }
}

fn frames(
    client: Client,
    bytes: impl Stream<Item = Result<Bytes, reqwest::Error>> + Send + 'static,
) -> impl Stream<Item = Result<Frame, ClientError>> + Send {
    let mut parser = Parser::default();
    bytes
        .map(move |chunk| match chunk {
            Ok(chunk) => parser.feed(&chunk).into_iter().map(Ok).collect::<Vec<_>>(),
            Err(why) => vec![Err(client.failed(why))],
        })
        .flat_map(futures_util::stream::iter)
}

/// Cuts bytes into lines and lines into frames.
#[derive(Debug, Default)]
struct Parser {
    rest: Vec<u8>,
    frame: Frame,
}

impl Parser {
    fn feed(&mut self, bytes: &[u8]) -> Vec<Frame> {
        self.rest.extend_from_slice(bytes);
        let mut done = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\n', '\r']);
            if line.is_empty() {
                let frame = std::mem::take(&mut self.frame);
                if !frame.data.is_empty() {
                    done.push(frame);
                }
            } else if let Some(event) = line.strip_prefix("event:") {
                self.frame.event = event.trim_start().to_owned();
            } else if let Some(data) = line.strip_prefix("data:") {
                if !self.frame.data.is_empty() {
                    self.frame.data.push('\n');
                }
                self.frame.data.push_str(data.strip_prefix(' ').unwrap_or(data));
            }
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_cut() {
        let text = "event: line\ndata: {\"container_name\":\"a\",\"line\":\"ü\"}\n\n: comment\n\nevent: end\r\ndata: 1\r\n\r\n";
        for cut in 0..text.len() {
            let mut parser = Parser::default();
            let mut frames = parser.feed(&text.as_bytes()[..cut]);
            frames.extend(parser.feed(&text.as_bytes()[cut..]));
            assert_eq!(frames.len(), 2, "cut at {cut}");
            assert_eq!(frames[0].read::<LogLine>().expect("a line").line, "ü");
            assert_eq!((frames[1].event.as_str(), frames[1].data.as_str()), ("end", "1"));
        }
    }
}
