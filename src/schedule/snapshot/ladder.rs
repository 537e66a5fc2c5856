//! How a ladder is written: by its base and its cap.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::object::Object;
use crate::ladder::Ladder;

#[derive(Deserialize, Serialize)]
#[serde(rename = "Ladder", deny_unknown_fields)]
struct Written {
    #[serde(with = "super::text")]
    base: Duration,
    #[serde(with = "super::text")]
    cap: Duration,
}

impl Serialize for Ladder {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        Written { base: self.base(), cap: self.cap() }.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Ladder {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Object(Written { base, cap }) = Object::deserialize(from)?;
        Ok(Self::new(base, cap))
    }
}
