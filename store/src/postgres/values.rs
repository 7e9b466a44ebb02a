//! Values in PostgreSQL's binary form.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use engine::event::EventTime;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::time;
use crate::value::Value;

type Failure = Box<dyn Error + Sync + Send>;

/// PostgreSQL counts from 2000-01-01; microseconds after the Unix epoch.
const EPOCH: i64 = 946_684_800_000_000;

impl ToSql for Value<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Failure> {
        match self {
            Value::Null => return Ok(IsNull::Yes),
            Value::Int(number) if *ty == Type::INT4 => out.put_i32(i32::try_from(*number)?),
            Value::Int(number) if *ty == Type::INT8 => out.put_i64(*number),
            Value::Real(number) if *ty == Type::FLOAT8 => out.put_f64(*number),
            Value::Text(text) if *ty == Type::TEXT || *ty == Type::VARCHAR || *ty == Type::JSON => {
                out.put_slice(text.as_bytes());
            }
            Value::Json(text) if *ty == Type::JSON || *ty == Type::TEXT => out.put_slice(text.as_bytes()),
            Value::Time(time) if *ty == Type::TIMESTAMPTZ => {
                out.put_i64(time::kept(*time).as_micros() - EPOCH);
            }
            other => return Err(format!("{other:?} cannot be a value of type {ty}").into()),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// What a column of an answer holds.
pub struct Cell(pub Value<'static>);

impl<'a> FromSql<'a> for Cell {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Failure> {
        let value = match *ty {
            Type::VOID => Value::Null,
            Type::BOOL => Value::Int(bool::from_sql(ty, raw)?.into()),
            Type::INT4 => Value::Int(i32::from_sql(ty, raw)?.into()),
            Type::INT8 => Value::Int(i64::from_sql(ty, raw)?),
            Type::FLOAT8 => Value::Real(f64::from_sql(ty, raw)?),
            Type::TIMESTAMPTZ => {
                Value::Time(EventTime::from_micros(i64::from_sql(&Type::INT8, raw)?.saturating_add(EPOCH)))
            }
            Type::TEXT | Type::VARCHAR | Type::JSON => {
                Value::Text(std::str::from_utf8(raw)?.to_owned().into())
            }
            _ => return Err(format!("a column of type {ty} was not expected").into()),
        };
        Ok(Self(value))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Failure> {
        Ok(Self(Value::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
