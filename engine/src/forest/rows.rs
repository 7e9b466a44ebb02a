//! Rows of which few values are not zero (compressed sparse rows).

use super::ForestError;

/// Rows in compressed form: only values other than zero are held.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SparseRows {
    columns: usize,
    starts: Vec<usize>,
    entries: Vec<(u32, f64)>,
}

/// A row that cannot be taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SparseRowsError {
    /// Columns out of order, twice, or beyond the last one.
    #[error("column {column} is out of order or not below {columns}")]
    BadColumn {
        /// The column at fault.
        column: u32,
        /// Columns of every row.
        columns: usize,
    },
    /// A value that cannot be compared.
    #[error("column {column} holds {value}: every value must be finite")]
    NotFinite {
        /// Column of the value.
        column: u32,
        /// The value.
        value: f64,
    },
}

impl SparseRows {
    /// No rows yet, of `columns` columns each.
    pub fn new(columns: usize) -> Self {
        Self { columns, starts: vec![0], entries: Vec::new() }
    }

    /// Appends a row: columns ascending, values finite; zeros are dropped.
    ///
    /// # Errors
    /// A column out of order or out of range, or a value that is not finite; the row is then not appended.
    pub fn push(&mut self, row: impl IntoIterator<Item = (u32, f64)>) -> Result<(), SparseRowsError> {
        let start = self.entries.len();
        let mut least = 0;
        for (column, value) in row {
            let fault = if u64::from(column) < least || column as usize >= self.columns {
                Some(SparseRowsError::BadColumn { column, columns: self.columns })
            } else if !value.is_finite() {
                Some(SparseRowsError::NotFinite { column, value })
            } else {
                None
            };
            if let Some(fault) = fault {
                self.entries.truncate(start);
                return Err(fault);
            }
            least = u64::from(column) + 1;
            if value != 0.0 {
                self.entries.push((column, value));
            }
        }
        self.starts.push(self.entries.len());
        Ok(())
    }

    /// From rows that hold every value.
    ///
    /// # Errors
    /// A value that is not finite.
    pub fn from_dense<'a>(
        columns: usize,
        rows: impl IntoIterator<Item = impl IntoIterator<Item = f64> + 'a>,
    ) -> Result<Self, ForestError> {
        let mut sparse = Self::new(columns);
        for (number, row) in rows.into_iter().enumerate() {
            let values = row.into_iter().enumerate().map(|(column, value)| (column as u32, value));
            sparse.push(values).map_err(|error| match error {
                SparseRowsError::NotFinite { column, value } => {
                    ForestError::NotFinite { row: number, column: column as usize, value }
                }
                SparseRowsError::BadColumn { column, .. } => {
                    ForestError::TooManyColumns { got: column as usize + 1 }
                }
            })?;
        }
        Ok(sparse)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of columns.
    pub const fn columns(&self) -> usize {
        self.columns
    }

    /// Column and value of what is not zero in a row, columns ascending; empty beyond the last row.
    pub fn row(&self, row: usize) -> &[(u32, f64)] {
        match self.starts.get(row..row + 2) {
            Some(&[start, end]) => &self.entries[start..end],
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_not_held() {
        let rows = SparseRows::from_dense(3, [[0.0, 2.0, 0.0], [1.0, 0.0, -0.5]]).unwrap();
        assert_eq!(rows.row(0), [(1, 2.0)]);
        assert_eq!(rows.row(1), [(0, 1.0), (2, -0.5)]);
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn a_bad_row_is_refused_and_leaves_no_trace() {
        let mut rows = SparseRows::new(4);
        assert!(rows.push([(1, 1.0), (1, 2.0)]).is_err());
        assert!(rows.push([(4, 1.0)]).is_err());
        assert!(rows.push([(0, 1.0), (2, f64::NAN)]).is_err());
        assert_eq!(rows, SparseRows::new(4));
        let error = SparseRows::from_dense(2, [[0.0, f64::INFINITY]]).unwrap_err();
        assert_eq!(error.to_string(), "row 0, column 1 holds inf: every value must be finite");
    }
}
