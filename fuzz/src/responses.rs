//! Responses of targets, in pieces.

use galton_runtime::http1::{ReadError, Reader};
use http::HeaderMap;
use hyper::body::Frame;

/// What was read of a response: status, headers, body, trailers, and whether another one may follow.
type Read = (u16, HeaderMap, Vec<u8>, Option<HeaderMap>, bool);

/// Reads bytes as a response, as a whole and as it comes: the same must come of it.
pub(crate) fn response(bytes: &[u8]) {
    let Some((first, response)) = bytes.split_first() else { return };
    let head_only = first & 1 == 1;
    let whole = read(head_only, response.chunks(response.len().max(1)));
    for size in [1, usize::from(first >> 1) + 2] {
        let pieces = read(head_only, response.chunks(size));
        match (&whole, &pieces) {
            (Ok(whole), Ok(pieces)) => assert_eq!(whole, pieces, "in pieces of {size}"),
            // Which limit is noticed first may differ.
            (Err(_), Err(_)) => {}
            _ => panic!("{whole:?}, in pieces of {size} {pieces:?}"),
        }
    }
}

fn read<'a>(head_only: bool, mut pieces: impl Iterator<Item = &'a [u8]>) -> Result<Read, ReadError> {
    let mut reader = Reader::new(64 * 1024);
    reader.expect(head_only, HeaderMap::new());
    let head = loop {
        match reader.head()? {
            Some(head) if head.status().is_informational() => {}
            Some(head) => break head,
            None => more(&mut reader, &mut pieces)?,
        }
    };
    let (mut body, mut trailers) = (Vec::new(), None);
    while !reader.is_done() {
        match reader.frame()?.map(Frame::into_data) {
            Some(Ok(data)) => body.extend_from_slice(&data),
            Some(Err(frame)) => trailers = frame.into_trailers().ok(),
            None if reader.is_done() => {}
            None => more(&mut reader, &mut pieces)?,
        }
    }
    if let Some(surplus) = pieces.next() {
        reader.push(surplus);
    }
    let (head, ()) = head.into_parts();
    Ok((head.status.as_u16(), head.headers, body, trailers, reader.can_go_on()))
}

fn more<'a>(reader: &mut Reader, pieces: &mut impl Iterator<Item = &'a [u8]>) -> Result<(), ReadError> {
    match pieces.next() {
        Some(piece) => {
            reader.push(piece);
            Ok(())
        }
        None => reader.closed(),
    }
}
