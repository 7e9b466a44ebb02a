//! Which rows go where there is too much: log lines have half of the room at least, and so has everything else.

use crate::Result;
use crate::backend::Backend;
use crate::database::{Database, STEP};
use crate::retention::{Removed, Retention};

/// Rows of one kind.
struct Kind {
    /// About how many bytes they take, without indexes: rows times the mean of the newest.
    estimate: &'static str,
    /// Removes the oldest, at most so many.
    remove: &'static str,
}

const LOGS: Kind = Kind {
    estimate: "SELECT (SELECT COALESCE(MAX(seq) - MIN(seq) + 1, 0) FROM logs) * COALESCE(AVG(bytes), 0) FROM (SELECT LENGTH(message) + LENGTH(source) + 200 AS bytes FROM logs ORDER BY seq DESC LIMIT 200) AS newest",
    remove: "DELETE FROM logs WHERE seq IN (SELECT seq FROM logs ORDER BY seq LIMIT $1)",
};

/// All others, in the order in which they go where log lines went already.
const OTHERS: [Kind; 4] = [
    Kind {
        estimate: "SELECT (SELECT COALESCE(MAX(seq) - MIN(seq) + 1, 0) FROM anomalies) * COALESCE(AVG(bytes), 0) FROM (SELECT LENGTH(record) + LENGTH(details) + 200 AS bytes FROM anomalies ORDER BY seq DESC LIMIT 200) AS newest",
        remove: "DELETE FROM anomalies WHERE seq IN (SELECT seq FROM anomalies ORDER BY seq LIMIT $1)",
    },
    Kind {
        estimate: "SELECT COALESCE(MAX(seq) - MIN(seq) + 1, 0) * 200 FROM sink_results",
        remove: "DELETE FROM sink_results WHERE seq IN (SELECT seq FROM sink_results ORDER BY seq LIMIT $1)",
    },
    Kind {
        estimate: "SELECT (SELECT COALESCE(MAX(seq) - MIN(seq) + 1, 0) FROM alert_records) * COALESCE(AVG(bytes), 0) FROM (SELECT LENGTH(record) + 150 AS bytes FROM alert_records ORDER BY seq DESC LIMIT 200) AS newest",
        remove: "DELETE FROM alert_records WHERE seq IN (SELECT seq FROM alert_records WHERE NOT EXISTS (SELECT 1 FROM sink_positions WHERE position < alert_records.seq) ORDER BY seq LIMIT $1)",
    },
    Kind {
        estimate: "SELECT (SELECT COUNT(*) FROM alerts) * COALESCE(AVG(bytes), 0) FROM (SELECT LENGTH(record) + LENGTH(message) + 300 AS bytes FROM alerts ORDER BY last_seen DESC LIMIT 200) AS newest",
        remove: "DELETE FROM alerts WHERE id IN (SELECT id FROM alerts WHERE status = 'resolved' ORDER BY last_seen, id LIMIT $1)",
    },
];

impl<B: Backend> Database<B> {
    /// One step of removing what is beyond `most_bytes`, where the database has such a bound.
    ///
    /// The oldest log lines go first as long as they take more than all else; where they do not, as with a long backlog of
    /// alerts, the oldest of what takes most among the others. What may not go yet (alerts that a sink has still to
    /// deliver, or that go on) is passed over.
    pub(crate) fn displace(&mut self, most_bytes: u64, removed: &mut Removed) -> Result<()> {
        let backend = self.ready()?;
        let beyond = if backend.is_bounded() { backend.bytes()?.saturating_sub(most_bytes) } else { 0 };
        if beyond == 0 {
            return Ok(());
        }
        let rows = Retention::rows_to_displace(beyond).min(STEP);
        for kind in self.in_order()? {
            let values = [crate::value::Value::Int(rows)];
            let displaced = self.transaction(|backend| backend.execute(kind.remove, &values))?;
            if displaced > 0 {
                removed.displaced = displaced;
                removed.more |= self.ready()?.bytes()? > most_bytes;
                break;
            }
        }
        Ok(())
    }

    fn in_order(&mut self) -> Result<Vec<&'static Kind>> {
        let mut bytes = |kind: &'static Kind| -> Result<(f64, &'static Kind)> {
            let found = self.query(kind.estimate, &[], |row| row.real(0))?;
            Ok((found.first().copied().unwrap_or(0.0), kind))
        };
        let (logs, _) = bytes(&LOGS)?;
        let mut others = OTHERS.iter().map(bytes).collect::<Result<Vec<_>>>()?;
        let all_others: f64 = others.iter().map(|(bytes, _)| bytes).sum();
        if logs >= all_others {
            return Ok([&LOGS].into_iter().chain(&OTHERS).collect());
        }
        others.sort_by(|a, b| b.0.total_cmp(&a.0));
        Ok(others.into_iter().map(|(_, kind)| kind).chain([&LOGS]).collect())
    }
}
