//! An answer that is taken line by line: of what has been seen only the last line is kept, so that it may
//! be of any length.

use bytes::{Bytes, BytesMut};
use grantry_core::limits::LOCAL_ANSWER_BYTES_MAX as BYTES_MAX;

/// More than [`BYTES_MAX`] in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

/// An answer, as it arrives.
#[derive(Debug, Default)]
pub struct Lines {
    /// What has arrived of the line that has not ended, or all of an answer that is kept whole.
    open: BytesMut,
    last: Bytes,
}

impl Lines {
    /// Takes in `piece` and keeps it.
    ///
    /// # Errors
    /// When the whole is too long.
    pub fn keep(&mut self, piece: &[u8]) -> Result<(), TooLong> {
        if piece.len() > BYTES_MAX - self.open.len() {
            return Err(TooLong);
        }
        self.open.extend_from_slice(piece);
        Ok(())
    }

    /// Takes in `piece`, and shows each line that ends in it to `see`, without its end.
    ///
    /// # Errors
    /// When a line is too long.
    pub fn take(
        &mut self,
        piece: &[u8],
        see: &mut (impl FnMut(&[u8]) + ?Sized),
    ) -> Result<(), TooLong> {
        let mut rest = piece;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.keep(&rest[..end])?;
            rest = &rest[end + 1..];
            self.last = self.open.split().freeze();
            see(&self.last);
        }
        self.keep(rest)
    }

    /// The last line, ended or not; of an answer that was kept, all of it.
    pub fn last(self) -> Bytes {
        match self.open.is_empty() {
            true => self.last,
            false => self.open.freeze(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pieces: &[&str]) -> (Vec<String>, Bytes) {
        let (mut lines, mut seen) = (Lines::default(), Vec::new());
        let mut see = |line: &[u8]| seen.push(String::from_utf8(line.to_vec()).unwrap());
        for piece in pieces {
            lines.take(piece.as_bytes(), &mut see).unwrap();
        }
        (seen, lines.last())
    }

    #[test]
    fn lines_are_seen_however_they_are_cut_and_the_last_one_is_kept() {
        let (seen, last) = taken(&["a\nb", "b\n", "", "\nc\n"]);
        assert_eq!(
            (seen.as_slice(), &last[..]),
            (&["a", "bb", "", "c"].map(str::to_owned)[..], &b"c"[..])
        );
        let (seen, last) = taken(&["a\n", "open"]);
        assert_eq!((seen.len(), &last[..]), (1, &b"open"[..]));
        assert_eq!(taken(&[]).1.len(), 0);
    }

    #[test]
    fn the_whole_may_be_longer_than_a_line() {
        let line = vec![b'x'; BYTES_MAX];
        let mut lines = Lines::default();
        for _ in 0..3 {
            lines.take(&line, &mut |_: &[u8]| ()).unwrap();
            lines.take(b"\n", &mut |_: &[u8]| ()).unwrap();
        }
        lines.take(&line, &mut |_: &[u8]| ()).unwrap();
        assert_eq!(lines.take(b"x", &mut |_: &[u8]| ()), Err(TooLong));
        assert_eq!(lines.keep(b"x"), Err(TooLong));
    }
}
