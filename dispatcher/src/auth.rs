//! Signed requests, checked at the edge before the actor sees them: cheap things first.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use proofgrid_core::crypto::eip712::{Request, WalletMessage};
use proofgrid_core::ids::{Address, NetworkId, Nonce};
use proofgrid_core::limits::REQUEST_EXPIRES_SECONDS_MAX;
use proofgrid_core::units::{UnixMillis, UnixSeconds};
use proofgrid_proto::convert::SignedRequest;

use crate::error::EdgeError;
use crate::limits::ADMIN_NONCE_AHEAD_MS_MAX;

/// Checks that a request is in its time.
fn check_expires(expires: UnixSeconds, now: UnixSeconds) -> Result<(), EdgeError> {
    if expires < now {
        return Err(EdgeError::Expired { expires, now });
    }
    if expires.get() > now.get().saturating_add(REQUEST_EXPIRES_SECONDS_MAX) {
        let max_s = REQUEST_EXPIRES_SECONDS_MAX;
        return Err(EdgeError::ExpiresTooFar { expires, max_s });
    }
    Ok(())
}

/// The account that signed a request, once its time and signature are checked. One recovery, about
/// 0.2 ms: cheap enough for the runtime's threads.
///
/// # Errors
/// When it is out of its time, or its signature is not by the account that it names.
pub fn signer_of(
    signed: &SignedRequest,
    network: NetworkId,
    now: UnixSeconds,
) -> Result<Address, EdgeError> {
    check_expires(signed.request.expires(), now)?;
    let message = WalletMessage::Request { network, request: signed.request.clone() };
    match signed.signer {
        Some(signer) => {
            signed.signature.verify(&message, signer)?;
            Ok(signer)
        }
        None => Ok(signed.signature.recover(&message)?),
    }
}

/// Sees to it that no administrative call counts twice, also over a restart.
///
/// A nonce is the time of its call in Unix milliseconds: above the administrator's last one, and at
/// most [`ADMIN_NONCE_AHEAD_MS_MAX`] ahead of this machine's clock. So none that another process
/// accepted before this one started can be above the floor that is drawn here, and nothing needs to
/// be written down. That rests on a clock that does not go back over a restart, as `expires` does.
#[derive(Debug)]
pub struct AdminNonces {
    floor: Nonce,
    last: Mutex<BTreeMap<Address, Nonce>>,
}

/// The highest nonce that a call may have at `now`.
const fn highest_nonce(now: UnixMillis) -> Nonce {
    Nonce::new(now.get().saturating_add(ADMIN_NONCE_AHEAD_MS_MAX))
}

impl AdminNonces {
    /// For a process that takes its first call at `started` or later.
    #[must_use]
    pub const fn new(started: UnixMillis) -> Self {
        Self { floor: highest_nonce(started), last: Mutex::new(BTreeMap::new()) }
    }

    /// Takes a call's nonce.
    ///
    /// # Errors
    /// [`EdgeError::AdminNonce`] for a repeated or older one, or one from before the start;
    /// [`EdgeError::Limit`] for one that is too far ahead.
    pub fn take(
        &self,
        administrator: Address,
        request: &Request,
        now: UnixMillis,
    ) -> Result<(), EdgeError> {
        let Request::AdminCall { nonce, .. } = request else {
            return Err(EdgeError::Protocol("this is no administrative call"));
        };
        let (got, max) = (nonce.get(), highest_nonce(now).get());
        if got > max {
            return Err(EdgeError::Limit { what: "nonce in Unix milliseconds", got, max });
        }
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let known = last.get(&administrator).copied().unwrap_or(self.floor).max(self.floor);
        if *nonce <= known {
            return Err(EdgeError::AdminNonce { got: *nonce, last: known });
        }
        last.insert(administrator, *nonce);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proofgrid_core::ids::AdminSubject;

    use super::*;

    #[test]
    fn a_request_is_good_from_now_until_an_hour_ahead() {
        let now = UnixSeconds::new(10_000);
        assert!(check_expires(now, now).is_ok());
        assert!(check_expires(UnixSeconds::new(13_600), now).is_ok());
        let over = check_expires(UnixSeconds::new(9_999), now);
        assert!(matches!(over, Err(EdgeError::Expired { .. })));
        let far = check_expires(UnixSeconds::new(13_601), now);
        assert!(matches!(far, Err(EdgeError::ExpiresTooFar { .. })));
    }
    fn call(nonce: u64) -> Request {
        Request::AdminCall {
            action: "get_stats".to_owned(),
            subject: AdminSubject::ZERO,
            nonce: Nonce::new(nonce),
            expires: UnixSeconds::new(3_600),
        }
    }

    #[test]
    fn a_call_counts_once_and_not_again_after_a_restart() {
        let (ann, bob) = (Address::from_bytes([1; 20]), Address::from_bytes([2; 20]));
        let at = UnixMillis::new;
        let before = AdminNonces::new(at(0));
        before.take(ann, &call(100_000), at(100_000)).unwrap();
        let again = before.take(ann, &call(100_000), at(100_001));
        let (got, last) = (Nonce::new(100_000), Nonce::new(100_000));
        assert_eq!(again, Err(EdgeError::AdminNonce { got, last }));
        before.take(bob, &call(100_000), at(100_001)).unwrap();
        // A clock that is as far ahead as any may be.
        before.take(ann, &call(105_001), at(100_001)).unwrap();
        let ahead = before.take(ann, &call(105_002), at(100_001));
        assert!(matches!(ahead, Err(EdgeError::Limit { max: 105_001, .. })), "{ahead:?}");

        // Killed and started again at once.
        let after = AdminNonces::new(at(100_001));
        for captured in [100_000, 105_001] {
            let replayed = after.take(ann, &call(captured), at(100_002));
            assert!(matches!(replayed, Err(EdgeError::AdminNonce { .. })), "{replayed:?}");
        }
        after.take(ann, &call(105_002), at(100_002)).unwrap();
    }
}
