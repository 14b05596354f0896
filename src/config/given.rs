//! A value with its source, so that messages can name the variable, or the file and the line.

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given<T> {
    /// The setting as the person wrote it.
    pub setting: String,
    pub value: T,
}

impl<T> Given<T> {
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Given<U> {
        Given {
            setting: self.setting,
            value: change(self.value),
        }
    }
}
