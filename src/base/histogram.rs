//! How often a number was how large: counts in buckets whose bounds are powers of two.
//!
//! The first bucket takes 0 and 1, each further one what is up to twice the bound before it, and the last whatever is
//! beyond. To count costs one shift and two additions, and needs no allocation.

/// How many buckets there are, with the one that has no bound.
pub const BUCKETS: usize = 24;

/// Counts by size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    /// How many fell into each bucket.
    pub counts: [u64; BUCKETS],
    /// What all numbers are together.
    pub sum: u64,
}

/// The bucket that takes `value`.
pub fn bucket_of(value: u64) -> usize {
    let doublings = u64::BITS - value.saturating_sub(1).leading_zeros();
    (doublings as usize).min(BUCKETS - 1)
}

/// The largest number that a bucket takes; `None` for the last.
pub fn bound(bucket: usize) -> Option<u64> {
    (bucket < BUCKETS - 1).then(|| 1 << bucket)
}

impl Histogram {
    /// Counts one number.
    pub fn observe(&mut self, value: u64) {
        self.counts[bucket_of(value)] += 1;
        self.sum = self.sum.saturating_add(value);
    }

    /// How many numbers there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Both together.
    pub fn plus(mut self, other: &Histogram) -> Histogram {
        self.counts.iter_mut().zip(other.counts).for_each(|(count, more)| *count += more);
        self.sum = self.sum.saturating_add(other.sum);
        self
    }

    /// What came since `earlier`, which was read from the same counts.
    pub fn since(mut self, earlier: &Histogram) -> Histogram {
        self.counts.iter_mut().zip(earlier.counts).for_each(|(count, before)| *count = count.saturating_sub(before));
        self.sum = self.sum.saturating_sub(earlier.sum);
        self
    }

    /// The bound of the bucket in which the number lies that so many percent are not above; 0 if there was none. What is
    /// beyond all bounds counts as twice the last of them.
    pub fn percentile(&self, percent: u64) -> u64 {
        let wanted = self.count().saturating_mul(percent).div_ceil(100);
        if wanted == 0 {
            return 0;
        }
        let mut below = 0;
        let bucket = self.counts.iter().position(|count| {
            below += count;
            below >= wanted
        });
        1 << bucket.unwrap_or(BUCKETS - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_falls_into_the_first_bucket_whose_bound_it_does_not_exceed() {
        for (value, bucket) in
            [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (1 << 22, 22), ((1 << 22) + 1, 23), (u64::MAX, 23)]
        {
            assert_eq!(bucket_of(value), bucket, "{value}");
            assert!(bound(bucket).is_none_or(|bound| value <= bound), "{value}");
            assert!(bucket == 0 || bound(bucket - 1).is_some_and(|bound| value > bound), "{value}");
        }
    }

    #[test]
    fn percentiles_are_bounds_of_buckets() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentile(99), 0);
        (0..98).for_each(|_| histogram.observe(3));
        histogram.observe(1_000);
        histogram.observe(u64::MAX);
        assert_eq!([1, 50, 98, 99, 100].map(|percent| histogram.percentile(percent)), [4, 4, 4, 1_024, 1 << 23]);
    }

    #[test]
    fn sums_and_differences_are_of_each_bucket() {
        let (mut first, mut both) = (Histogram::default(), Histogram::default());
        first.observe(7);
        both.observe(7);
        both.observe(9);
        let second = both.since(&first);
        assert_eq!((second.count(), second.sum), (1, 9));
        assert_eq!(first.plus(&second), both);
    }
}
