//! Git deltas: two sizes, then instructions that copy from the base or insert bytes (`gitformat-pack`, "Deltified
//! representation"). The result's size is checked against a limit before memory is taken.

/// Why a delta could not be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeltaError {
    /// The instructions end in the middle of one.
    #[error("the delta is cut off")]
    Truncated,
    /// The delta was made for a base of another size.
    #[error("the delta is for a base of {stated} bytes, its base has {actual}")]
    BaseSize {
        /// What the delta says.
        stated: u64,
        /// What the base has.
        actual: u64,
    },
    /// An instruction copies what the base does not have.
    #[error("the delta copies from beyond its base")]
    BeyondBase,
    /// The instructions make more or less than the delta states.
    #[error("the delta makes another size than it states")]
    ResultSize,
    /// The reserved instruction 0.
    #[error("the delta has the reserved instruction 0")]
    Reserved,
    /// The result would be larger than objects may be.
    #[error("the object would have {size} bytes, more than the limit of {limit}")]
    TooLarge {
        /// The stated size.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
}

/// The sizes of base and result that a delta states, and the length of the two numbers.
pub fn sizes(delta: &[u8]) -> Result<(u64, u64, usize), DeltaError> {
    let mut at = 0;
    let base = number(delta, &mut at)?;
    let result = number(delta, &mut at)?;
    Ok((base, result, at))
}

/// Applies `delta` to `base`; `out` is overwritten with the result, at most `limit` bytes.
pub fn apply(base: &[u8], delta: &[u8], limit: u64, out: &mut Vec<u8>) -> Result<(), DeltaError> {
    let (base_size, result_size, mut at) = sizes(delta)?;
    if base_size != base.len() as u64 {
        return Err(DeltaError::BaseSize { stated: base_size, actual: base.len() as u64 });
    }
    if result_size > limit {
        return Err(DeltaError::TooLarge { size: result_size, limit });
    }
    let result_size = result_size as usize;
    out.clear();
    out.reserve(result_size);
    while at < delta.len() {
        let op = delta[at];
        at += 1;
        if op & 0x80 != 0 {
            let mut offset = 0usize;
            let mut size = 0usize;
            for i in 0..4 {
                if op >> i & 1 != 0 {
                    offset |= usize::from(*delta.get(at).ok_or(DeltaError::Truncated)?) << (8 * i);
                    at += 1;
                }
            }
            for i in 0..3 {
                if op >> (4 + i) & 1 != 0 {
                    size |= usize::from(*delta.get(at).ok_or(DeltaError::Truncated)?) << (8 * i);
                    at += 1;
                }
            }
            if size == 0 {
                size = 0x10000;
            }
            let part = base.get(offset..offset + size).ok_or(DeltaError::BeyondBase)?;
            if out.len() + size > result_size {
                return Err(DeltaError::ResultSize);
            }
            out.extend_from_slice(part);
        } else if op != 0 {
            let size = usize::from(op);
            let part = delta.get(at..at + size).ok_or(DeltaError::Truncated)?;
            if out.len() + size > result_size {
                return Err(DeltaError::ResultSize);
            }
            out.extend_from_slice(part);
            at += size;
        } else {
            return Err(DeltaError::Reserved);
        }
    }
    if out.len() != result_size {
        return Err(DeltaError::ResultSize);
    }
    Ok(())
}

fn number(delta: &[u8], at: &mut usize) -> Result<u64, DeltaError> {
    let mut value = 0u64;
    let mut shift = 0;
    loop {
        let byte = *delta.get(*at).ok_or(DeltaError::Truncated)?;
        *at += 1;
        if shift > 56 {
            return Err(DeltaError::ResultSize);
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn copies_and_inserts() {
        let base = b"hello, world";
        // base 12, result 8: copy 5 at 0, insert "!!!"
        let delta = [12, 8, 0x90, 5, 3, b'!', b'!', b'!'];
        let mut out = Vec::new();
        apply(base, &delta, 100, &mut out).unwrap();
        assert_eq!(out, b"hello!!!");
    }

    // B5
    #[test]
    fn hostile_deltas_are_refused() {
        let mut out = Vec::new();
        let mut check = |delta: &[u8], expected| assert_eq!(apply(b"base", delta, 100, &mut out), Err(expected));
        check(&[], DeltaError::Truncated);
        check(&[4], DeltaError::Truncated);
        check(&[5, 1, 1, 0], DeltaError::BaseSize { stated: 5, actual: 4 });
        check(&[4, 0xff, 0xff, 0xff, 0x7f, 1, 0], DeltaError::TooLarge { size: (1 << 28) - 1, limit: 100 });
        check(&[4, 1, 0], DeltaError::Reserved);
        check(&[4, 1, 0x91, 4, 1], DeltaError::BeyondBase);
        check(&[4, 1, 2, b'a', b'b'], DeltaError::ResultSize);
        check(&[4, 2, 1, b'a'], DeltaError::ResultSize);
        check(&[4, 2, 2, b'a'], DeltaError::Truncated);
        check(&[0xff; 20], DeltaError::ResultSize);
    }

    proptest! {
        #[test]
        fn any_bytes_are_applied_without_panic(base: Vec<u8>, delta: Vec<u8>) {
            let mut out = Vec::new();
            let _ = apply(&base, &delta, 1 << 16, &mut out);
        }
    }
}
