//! What a parsed filter may not do: nest without end, loop long or in loops in loops, ask for unknown names.

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr};

use super::{FilterError, variables};

/// Deepest nesting; evaluation recurses as deep, on whatever stack its thread has.
const MAX_DEPTH: usize = 64;
/// Deepest nesting of `all`, `exists`, `map` and `filter`.
const MAX_LOOPS: usize = 2;

/// Most steps of one evaluation: parts of the expression, those within a loop as often as it goes round.
const MAX_STEPS: u64 = 4_000;
/// What a pattern costs, which is compiled each time.
const PATTERN_STEPS: u64 = 100;
/// Rounds that are counted for a loop over something whose length depends on the event.
const UNKNOWN_ROUNDS: u64 = 100;

/// Checks a parsed expression.
pub(super) fn check(expression: &IdedExpr, source: &str) -> Result<(), FilterError> {
    let mut walk = Walk { source, locals: Vec::new(), loops: 0 };
    walk.visit(expression, 1)?;
    let steps = steps(expression);
    if steps > MAX_STEPS {
        return Err(walk.too_complex(format!(
            "it would take {steps} steps, at most {MAX_STEPS} are allowed: shorten its lists, or its loops"
        )));
    }
    Ok(())
}

/// Elements of what a loop goes over, where the expression tells.
fn length(expression: &IdedExpr) -> Option<u64> {
    match &expression.expr {
        Expr::List(list) => Some(list.elements.len() as u64),
        Expr::Map(map) => Some(map.entries.len() as u64),
        // Of `map` and `filter`; the others give no list.
        Expr::Comprehension(comprehension) => length(&comprehension.iter_range),
        Expr::Call(call) if call.func_name == "_+_" => {
            call.args.iter().try_fold(0_u64, |sum, argument| Some(sum.saturating_add(length(argument)?)))
        }
        _ => None,
    }
}

fn steps(expression: &IdedExpr) -> u64 {
    let sum = |parts: &mut dyn Iterator<Item = &IdedExpr>| -> u64 {
        parts.fold(0, |sum, part| sum.saturating_add(steps(part)))
    };
    let entry = |entry: &EntryExpr| match entry {
        EntryExpr::StructField(field) => steps(&field.value),
        EntryExpr::MapEntry(entry) => steps(&entry.key).saturating_add(steps(&entry.value)),
    };
    let inner = match &expression.expr {
        Expr::Unspecified | Expr::Literal(_) | Expr::Ident(_) => 0,
        Expr::Select(select) => steps(&select.operand),
        Expr::Call(call) => {
            let own = if call.func_name == "matches" { PATTERN_STEPS } else { 0 };
            sum(&mut call.target.iter().map(|target| &**target).chain(&call.args)).saturating_add(own)
        }
        Expr::List(list) => sum(&mut list.elements.iter()),
        Expr::Map(map) => map.entries.iter().fold(0_u64, |sum, one| sum.saturating_add(entry(&one.expr))),
        Expr::Struct(object) => {
            object.entries.iter().fold(0_u64, |sum, one| sum.saturating_add(entry(&one.expr)))
        }
        Expr::Comprehension(comprehension) => {
            let rounds = length(&comprehension.iter_range).unwrap_or(UNKNOWN_ROUNDS);
            let round = steps(&comprehension.loop_cond).saturating_add(steps(&comprehension.loop_step));
            sum(&mut [&comprehension.iter_range, &comprehension.accu_init, &comprehension.result].into_iter())
                .saturating_add(rounds.saturating_mul(round))
        }
    };
    inner.saturating_add(1)
}

struct Walk<'a> {
    source: &'a str,
    locals: Vec<&'a str>,
    loops: usize,
}

impl<'a> Walk<'a> {
    fn too_complex(&self, detail: String) -> FilterError {
        FilterError::TooComplex { filter: self.source.to_owned(), detail }
    }

    fn name(&self, name: &str) -> Result<(), FilterError> {
        let bare = name.strip_prefix('.').unwrap_or(name);
        let is_type =
            ["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];
        if name.starts_with('@')
            || self.locals.contains(&bare)
            || variables::NAMES.contains(&bare)
            || is_type.contains(&bare)
        {
            return Ok(());
        }
        Err(FilterError::UnknownName { filter: self.source.to_owned(), name: bare.to_owned() })
    }

    fn visit(&mut self, expression: &'a IdedExpr, depth: usize) -> Result<(), FilterError> {
        if depth > MAX_DEPTH {
            return Err(self.too_complex(format!("it is nested more than {MAX_DEPTH} levels deep")));
        }
        let next = depth + 1;
        match &expression.expr {
            Expr::Unspecified | Expr::Literal(_) => Ok(()),
            Expr::Ident(name) => self.name(name),
            Expr::Select(select) => self.visit(&select.operand, next),
            Expr::Call(call) => {
                call.target.iter().try_for_each(|target| self.visit(target, next))?;
                call.args.iter().try_for_each(|argument| self.visit(argument, next))
            }
            Expr::List(list) => list.elements.iter().try_for_each(|element| self.visit(element, next)),
            Expr::Map(map) => map.entries.iter().try_for_each(|entry| self.entry(&entry.expr, next)),
            Expr::Struct(object) => object.entries.iter().try_for_each(|entry| self.entry(&entry.expr, next)),
            Expr::Comprehension(comprehension) => {
                self.visit(&comprehension.iter_range, next)?;
                self.visit(&comprehension.accu_init, next)?;
                if self.loops >= MAX_LOOPS {
                    return Err(self.too_complex(format!("loops are nested more than {MAX_LOOPS} deep")));
                }
                if self.loops > 0 && length(&comprehension.iter_range).is_none() {
                    return Err(self.too_complex(
                        "a loop within a loop goes over something whose length is not known beforehand; only a list \
                         that is written out is allowed"
                            .to_owned(),
                    ));
                }
                self.loops += 1;
                let before = self.locals.len();
                self.locals.extend([comprehension.iter_var.as_str(), comprehension.accu_var.as_str()]);
                self.locals.extend(comprehension.iter_var2.as_deref());
                for part in [&comprehension.loop_cond, &comprehension.loop_step, &comprehension.result] {
                    self.visit(part, next)?;
                }
                self.locals.truncate(before);
                self.loops -= 1;
                Ok(())
            }
        }
    }

    fn entry(&mut self, entry: &'a EntryExpr, depth: usize) -> Result<(), FilterError> {
        match entry {
            EntryExpr::StructField(field) => self.visit(&field.value, depth),
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key, depth)?;
                self.visit(&entry.value, depth)
            }
        }
    }
}
