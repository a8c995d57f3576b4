//! Something per target, by number.

use galton_core::TargetId;

/// Found without a search; in order of number.
#[derive(Clone, Debug)]
pub(crate) struct ByTarget<T>(Vec<Option<T>>);

/// Targets of a fleet that is not large.
const FEW: usize = 64;

impl<T> Default for ByTarget<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> ByTarget<T> {
    #[inline]
    pub(crate) fn get(&self, id: TargetId) -> Option<&T> {
        self.0.get(id.0 as usize)?.as_ref()
    }

    /// Up to the highest number.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether what is looked at of so many targets may be outside the processor's nearest caches.
    pub(crate) fn is_large(&self) -> bool {
        self.0.len() > FEW
    }

    /// What there is of this target, made if there is nothing yet.
    #[inline]
    pub(crate) fn of(&mut self, id: TargetId, make: impl FnOnce() -> T) -> &mut T {
        let at = id.0 as usize;
        if self.0.len() <= at {
            self.0.resize_with(at + 1, || None);
        }
        self.0[at].get_or_insert_with(make)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TargetId, &T)> {
        (0..).map(TargetId).zip(&self.0).filter_map(|(id, of)| Some((id, of.as_ref()?)))
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut().flatten()
    }
}
