//! What a parsed filter may not do: nest without end, loop in loops in loops, ask for unknown names.

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr};

use super::{FilterError, variables};

/// Deepest nesting; evaluation recurses as deep, on whatever stack its thread has.
const MAX_DEPTH: usize = 64;
/// Deepest nesting of `all`, `exists`, `map` and `filter`.
const MAX_LOOPS: usize = 2;

/// Checks a parsed expression.
pub(super) fn check(expression: &IdedExpr, source: &str) -> Result<(), FilterError> {
    Walk { source, locals: Vec::new(), loops: 0 }.visit(expression, 1)
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
