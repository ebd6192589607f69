//! CloudWatch Logs.

use layer0_domain::model::time::Timestamp;

use super::pace::Family;
use super::{Aws, AwsError};

/// A stream and when it was last written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecs) struct Stream {
    /// Its name.
    pub(in crate::ecs) name: String,
    /// When it was made.
    pub(in crate::ecs) made: Option<Timestamp>,
    /// Its newest event; `None` for one without any. CloudWatch brings it up to date with some delay, mostly within an hour.
    pub(in crate::ecs) last: Option<Timestamp>,
}

/// A line as CloudWatch has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ecs) struct LogEvent {
    /// The same for the same event, however often it is read; empty where CloudWatch gives none.
    pub(in crate::ecs) id: String,
    /// The stream.
    pub(in crate::ecs) stream: String,
    /// When it was written.
    pub(in crate::ecs) at: Timestamp,
    /// The line.
    pub(in crate::ecs) line: String,
}

/// A span of time; both ends belong to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::ecs) struct Span {
    /// From here on.
    pub(in crate::ecs) start: Option<Timestamp>,
    /// Up to here.
    pub(in crate::ecs) end: Option<Timestamp>,
}

impl Span {
    fn start_ms(self) -> Option<i64> {
        self.start.map(|at| at.0)
    }

    /// The end as `FilterLogEvents` takes it: itself included.
    fn end_ms(self) -> Option<i64> {
        self.end.map(|at| at.0)
    }

    /// The end as `GetLogEvents` takes it: itself left out.
    fn before_ms(self) -> Option<i64> {
        self.end.map(|at| at.0.saturating_add(1))
    }
}

impl Aws {
    /// All streams of a group whose name begins with `prefix`; `None` when the group isn't there.
    pub(in crate::ecs) async fn log_streams(&self, group: &str, prefix: &str) -> Result<Option<Vec<Stream>>, AwsError> {
        let mut streams = Vec::new();
        let mut token = None;
        loop {
            let Some((some, next)) = self.log_streams_page(group, prefix, token).await? else { return Ok(None) };
            streams.extend(some);
            token = next;
            if token.is_none() {
                return Ok(Some(streams));
            }
        }
    }

    /// Some streams of a group whose name begins with `prefix`, as many as one answer holds; none when there are none.
    pub(in crate::ecs) async fn log_streams_some(&self, group: &str, prefix: &str) -> Result<Vec<Stream>, AwsError> {
        let mut token = None;
        loop {
            match self.log_streams_page(group, prefix, token).await? {
                Some((some, next)) if some.is_empty() && next.is_some() => token = next,
                Some((some, _)) => return Ok(some),
                None => return Ok(vec![]),
            }
        }
    }

    /// A page of streams, and the token of the next one; `None` when the group isn't there.
    async fn log_streams_page(
        &self,
        group: &str,
        prefix: &str,
        token: Option<String>,
    ) -> Result<Option<(Vec<Stream>, Option<String>)>, AwsError> {
        let call = self.logs.describe_log_streams().log_group_name(group).log_stream_name_prefix(prefix);
        let call = call.set_next_token(token);
        let answer = match self.send("logs:DescribeLogStreams", Family::Logs, call.send()).await {
            Ok(answer) => answer,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error),
        };
        let some = answer.log_streams.unwrap_or_default().into_iter().filter_map(|it| {
            let name = it.log_stream_name?;
            // Emulators give more than was asked for.
            let (made, last) = (it.creation_time.map(Timestamp), it.last_event_timestamp.map(Timestamp));
            name.starts_with(prefix).then_some(Stream { name, made, last })
        });
        Ok(Some((some.collect(), answer.next_token.filter(|token| !token.is_empty()))))
    }

    /// The newest events of one stream in a span, the oldest of them first; at most `most`.
    pub(in crate::ecs) async fn log_newest(
        &self,
        group: &str,
        stream: &str,
        span: Span,
        most: u32,
    ) -> Result<Vec<LogEvent>, AwsError> {
        let mut events: Vec<LogEvent> = Vec::new();
        let mut token: Option<String> = None;
        while (events.len() as u64) < u64::from(most) {
            let left = (u64::from(most) - events.len() as u64).min(10_000);
            let call = self
                .logs
                .get_log_events()
                .log_group_name(group)
                .log_stream_name(stream)
                .start_from_head(false)
                .limit(i32::try_from(left).unwrap_or(10_000))
                .set_start_time(span.start_ms())
                .set_end_time(span.before_ms())
                .set_next_token(token.clone());
            let answer = match self.send("logs:GetLogEvents", Family::Logs, call.send()).await {
                Ok(answer) => answer,
                Err(error) if error.is_missing() => break,
                Err(error) => return Err(error),
            };
            let page: Vec<LogEvent> = answer
                .events
                .unwrap_or_default()
                .into_iter()
                .filter_map(|it| {
                    let (at, line) = (Timestamp(it.timestamp?), it.message.unwrap_or_default());
                    Some(LogEvent { id: String::new(), stream: stream.to_owned(), at, line })
                })
                .collect();
            // At the end of a stream the token that was given comes back.
            let ended = page.is_empty() || answer.next_backward_token.is_none() || answer.next_backward_token == token;
            events.splice(0..0, page);
            if ended {
                break;
            }
            token = answer.next_backward_token;
        }
        let too_many = events.len().saturating_sub(most as usize);
        events.drain(..too_many);
        Ok(events)
    }

    /// Events of all streams whose name begins with `prefix`, in a span, the oldest first: one page, and where to go on.
    pub(in crate::ecs) async fn log_page(
        &self,
        group: &str,
        prefix: &str,
        span: Span,
        token: Option<String>,
    ) -> Result<(Vec<LogEvent>, Option<String>), AwsError> {
        let call = self
            .logs
            .filter_log_events()
            .log_group_name(group)
            .log_stream_name_prefix(prefix)
            .set_start_time(span.start_ms())
            .set_end_time(span.end_ms())
            .set_next_token(token);
        let answer = match self.send("logs:FilterLogEvents", Family::Logs, call.send()).await {
            Ok(answer) => answer,
            Err(error) if error.is_missing() => return Ok((vec![], None)),
            Err(error) => return Err(error),
        };
        let events = answer.events.unwrap_or_default().into_iter().filter_map(|it| {
            let stream = it.log_stream_name?;
            stream.starts_with(prefix).then_some(LogEvent {
                id: it.event_id.unwrap_or_default(),
                stream,
                at: Timestamp(it.timestamp?),
                line: it.message.unwrap_or_default(),
            })
        });
        Ok((events.collect(), answer.next_token.filter(|token| !token.is_empty())))
    }

    /// Takes a stream away; one that isn't there is gone.
    pub(in crate::ecs) async fn log_stream_delete(&self, group: &str, stream: &str) -> Result<(), AwsError> {
        let call = self.logs.delete_log_stream().log_group_name(group).log_stream_name(stream);
        match self.send("logs:DeleteLogStream", Family::Logs, call.send()).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(error),
        }
    }
}
