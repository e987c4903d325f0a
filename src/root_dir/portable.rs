//! How is a file opened beneath a folder, where there is no way to open one beneath another? It is looked where the path leads, and then opened.

use super::PathError;
use super::name::Name;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self(path.to_owned()))
    }

    pub(super) fn open_file(&self, name: &Name<'_>) -> Result<File, PathError> {
        let found = self.0.join(name.as_path()).canonicalize()?;
        if found.starts_with(&self.0) { Ok(File::open(found)?) } else { Err(PathError::Outside) }
    }

    pub(super) fn create_file(&self, name: &Name<'_>) -> Result<File, PathError> {
        let path = self.0.join(name.as_path());
        let (Some(folder), Some(last)) = (path.parent(), path.file_name()) else { return Err(PathError::Outside) };
        let folder = folder.canonicalize()?;
        if !folder.starts_with(&self.0) {
            return Err(PathError::Outside);
        }
        Ok(OpenOptions::new().write(true).create_new(true).open(folder.join(last))?)
    }
}
