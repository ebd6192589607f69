//! Lines out of Docker's frames. Each frame begins with its time; a long line comes in several frames, and a frame of a
//! terminal may hold several lines.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::BoxStream;
use layer0_domain::model::time::Timestamp;

use crate::docker::client::DockerError;
use crate::docker::stamp;

/// A line longer than this is cut into several: nobody's memory is filled by a program that never ends its line.
const LINE_MAX: usize = 1024 * 1024;

/// One line with its time as Docker wrote it: always in UTC and of one length, so that it can be compared as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stamped {
    pub(super) stamp: String,
    pub(super) text: String,
}

impl Stamped {
    pub(super) fn at(&self) -> Option<Timestamp> {
        stamp::parse(&self.stamp)
    }
}

/// Where a frame was written to. A terminal has one output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    Standard,
    Error,
}

/// Turns frames into lines.
pub(super) struct Lines {
    frames: BoxStream<'static, Result<(Output, Bytes), DockerError>>,
    /// The beginnings of lines whose ends have not come, one for each output: Docker sends a long line in pieces, and between two of them
    /// what was written to the other output.
    open: [Option<(String, Vec<u8>)>; 2],
    ready: VecDeque<Stamped>,
    ended: bool,
}

impl Lines {
    pub(super) fn new(frames: BoxStream<'static, Result<(Output, Bytes), DockerError>>) -> Self {
        Self { frames, open: [None, None], ready: VecDeque::new(), ended: false }
    }

    fn take(&mut self, output: Output, frame: &[u8]) {
        for piece in frame.split_inclusive(|byte| *byte == b'\n') {
            let (stamp, text) = split_stamp(piece);
            let (text, ends) = match text.strip_suffix(b"\n") {
                Some(text) => (text.strip_suffix(b"\r").unwrap_or(text), true),
                None => (text, false),
            };
            let (_, line) = self.open[output as usize].get_or_insert_with(|| (stamp.to_owned(), Vec::new()));
            line.extend_from_slice(text);
            let too_long = line.len() >= LINE_MAX;
            if ends || too_long {
                self.close(output);
            }
        }
    }

    fn close(&mut self, output: Output) {
        if let Some((stamp, line)) = self.open[output as usize].take() {
            self.ready.push_back(Stamped { stamp, text: String::from_utf8_lossy(&line).into_owned() });
        }
    }
}

/// Takes the time off a frame's beginning: `2024-02-29T12:30:15.123456789Z `.
fn split_stamp(piece: &[u8]) -> (&str, &[u8]) {
    let Some(space) = piece.iter().take(40).position(|byte| *byte == b' ') else {
        // An empty line's frame is the time alone, with its line end.
        let bare = piece.strip_suffix(b"\n").unwrap_or(piece);
        return match std::str::from_utf8(bare) {
            Ok(text) if stamp::parse(text).is_some() => (text, &piece[bare.len()..]),
            _ => ("", piece),
        };
    };
    match std::str::from_utf8(&piece[..space]) {
        Ok(text) if stamp::parse(text).is_some() => (text, &piece[space + 1..]),
        _ => ("", piece),
    }
}

impl Stream for Lines {
    type Item = Result<Stamped, DockerError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(line)));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match self.frames.as_mut().poll_next(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok((output, frame)))) => self.take(output, &frame),
                Poll::Ready(Some(Err(error))) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => {
                    self.ended = true;
                    // In the order in which they began.
                    let [out, error] = &self.open;
                    let is_error_first = matches!((out, error), (Some((out, _)), Some((error, _))) if error < out);
                    self.close(if is_error_first { Output::Error } else { Output::Standard });
                    self.close(if is_error_first { Output::Standard } else { Output::Error });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt, stream};

    use super::*;

    fn lines(frames: &[&str]) -> Vec<Stamped> {
        of_outputs(&frames.iter().map(|frame| (Output::Standard, *frame)).collect::<Vec<_>>())
    }

    fn of_outputs(frames: &[(Output, &str)]) -> Vec<Stamped> {
        let frames: Vec<Result<(Output, Bytes), DockerError>> =
            frames.iter().map(|(output, frame)| Ok((*output, Bytes::from((*frame).to_owned())))).collect();
        let all = Lines::new(stream::iter(frames).boxed()).map(|line| line.expect("no frame is an error"));
        all.collect().now_or_never().expect("all frames are there")
    }

    fn stamped(stamp: &str, text: &str) -> Stamped {
        Stamped { stamp: stamp.into(), text: text.into() }
    }

    #[test]
    fn times_are_taken_off_and_long_lines_put_together() {
        let (one, two) = ("2024-02-29T12:30:15.000000001Z", "2024-02-29T12:30:16.000000001Z");
        let found = lines(&[
            &format!("{one} hello world\n"),
            &format!("{one} begin"),
            &format!("{two} ning\n"),
            &format!("{two} \n"),
            &format!("{two} last"),
        ]);
        let expected = [stamped(one, "hello world"), stamped(one, "beginning"), stamped(two, ""), stamped(two, "last")];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_goes_to_the_other_output_between_two_pieces_is_a_line_of_its_own() {
        let [one, two, three] = ["10", "11", "12"].map(|second| format!("2024-02-29T12:30:{second}.000000001Z"));
        let (out, error) = (Output::Standard, Output::Error);
        let [begin, beside, end] = [format!("{one} begin"), format!("{two} beside\n"), format!("{three} ning\n")];
        let found = of_outputs(&[(out, &begin), (error, &beside), (out, &end)]);
        assert_eq!(found, [stamped(&two, "beside"), stamped(&one, "beginning")]);
        // Of lines that never end.
        let beside = beside.trim_end();
        assert_eq!(of_outputs(&[(error, &begin), (out, beside)]), [stamped(&one, "begin"), stamped(&two, "beside")]);
    }

    #[test]
    fn a_line_without_a_time_is_kept_whole() {
        assert_eq!(lines(&["not a time\r\n"]), [stamped("", "not a time")]);
    }
}
