//! How a snapshot writes a status: as its number.

use http::StatusCode;
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
pub(super) fn serialize<S: Serializer>(
    status: &Option<StatusCode>,
    to: S,
) -> Result<S::Ok, S::Error> {
    status.map(|status| status.as_u16()).serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    from: D,
) -> Result<Option<StatusCode>, D::Error> {
    let number = Option::<u16>::deserialize(from)?;
    let odd = |number: u16| Unexpected::Unsigned(number.into());
    number
        .map(|number| {
            StatusCode::from_u16(number)
                .map_err(|_| D::Error::invalid_value(odd(number), &"an HTTP status"))
        })
        .transpose()
}
