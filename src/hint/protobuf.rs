//! Protobuf's wire format, as far as it takes to find a field in a message.
//!
//! It knows no schema: the caller knows its fields by their numbers, and passes over the rest.
//! Groups, which are obsolete, are malformed here.

/// What a field holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Value<'a> {
    /// A number of any length.
    Varint(u64),
    /// A text, bytes, or a message in the message.
    Bytes(&'a [u8]),
    /// A number of four bytes or eight.
    Fixed,
}

/// Shows `each` the fields of a message in their order; none if the message is malformed, or
/// `each` says so.
pub(crate) fn fields<'a>(
    mut message: &'a [u8],
    mut each: impl FnMut(u64, Value<'a>) -> Option<()>,
) -> Option<()> {
    while !message.is_empty() {
        let tag = varint(&mut message)?;
        let value = match tag & 7 {
            0 => Value::Varint(varint(&mut message)?),
            1 => take(&mut message, 8).map(|_| Value::Fixed)?,
            2 => {
                let length = varint(&mut message)?;
                Value::Bytes(take(&mut message, usize::try_from(length).ok()?)?)
            }
            5 => take(&mut message, 4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        each(tag >> 3, value)?;
    }
    Some(())
}

/// Takes a number: seven bits in each byte, the lowest first.
fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..u64::BITS).step_by(7) {
        let [byte] = *take(bytes, 1)? else { return None };
        let bits = u64::from(byte & 0x7F);
        let shifted = bits.wrapping_shl(shift);
        // The tenth byte has room for one bit.
        if shifted.wrapping_shr(shift) != bits {
            return None;
        }
        number |= shifted;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}
