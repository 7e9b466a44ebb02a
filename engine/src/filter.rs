//! Filter expressions (CEL) over log events: training filters now, rules and silences on the same language.
