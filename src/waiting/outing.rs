//! What a call carries while it is out: its permit, and its place in the line.

use crate::cooldowns::Place;
use crate::message::Incoming;
use crate::permit::Permit;

/// What a call carries from its admission to its end.
#[derive(Debug)]
pub(super) struct Outing {
    permit: Permit,
    /// None where the call did not come from a line.
    place: Option<Place>,
}

impl Outing {
    /// A call to an upstream without a line.
    #[inline]
    pub(super) fn new(permit: Permit) -> Self {
        Self { permit, place: None }
    }

    /// A call that a line has let go.
    pub(super) fn from_line(permit: Permit, mut place: Place) -> Self {
        place.admitted(permit.role());
        Self { permit, place: Some(place) }
    }

    /// Takes in the response.
    #[inline]
    pub(super) fn answered<R: Incoming>(&mut self, response: &R) {
        if self.place.is_none() && self.permit.is_settled_by(response) {
            return;
        }
        self.hear(response);
    }

    #[cold]
    fn hear<R: Incoming>(&mut self, response: &R) {
        self.retire();
        let succeeded = self.permit.is_settled_by(response) || self.permit.answered(response);
        if let Some(place) = self.place.take().filter(|_| succeeded) {
            place.succeeded();
        }
    }

    /// Takes in that the call failed without a response.
    pub(super) fn failed(&mut self) {
        self.retire();
        self.permit.failed();
        self.place = None;
    }

    /// Gives the place in the line back. If that had lapsed, so had the one in the
    /// table.
    fn retire(&mut self) {
        if self.place.as_mut().is_some_and(Place::retire) {
            self.permit.lapsed();
        }
    }
}

impl Drop for Outing {
    #[inline]
    fn drop(&mut self) {
        if self.place.is_some() {
            self.retire();
        }
    }
}
