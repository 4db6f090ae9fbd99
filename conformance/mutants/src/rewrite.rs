// SPDX-License-Identifier: Apache-2.0
//! Inserts all mutants of a file into its text, each behind a switch.
//!
//! Text is only inserted, without line breaks, so that a position in the new text leads back to the
//! position in the old text.

use std::collections::BTreeMap;
use std::ops::Range;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Expr, Pat, ReturnType, Stmt, Type, UnOp};

/// One change of the program.
#[derive(Clone, Debug)]
pub struct Mutant {
    pub number: u32,
    pub file: String,
    pub line: usize,
    pub change: String,
    /// File, function and change: a key that stays the same when lines are added elsewhere.
    pub key: String,
    /// The range of all its inserted text, to match the compiler's errors.
    pub region: Range<usize>,
}

/// A text to be inserted.
struct Insertion {
    at: usize,
    /// The order at one position: closing text first, innermost first; then opening text, outermost
    /// first.
    order: (u8, isize, isize),
    text: String,
    mutant: u32,
}

pub struct Rewriter<'a> {
    source: &'a str,
    file: String,
    next: u32,
    wanted: &'a dyn Fn(&str) -> bool,
    function: Vec<String>,
    insertions: Vec<Insertion>,
    seen: BTreeMap<String, usize>,
    pub mutants: Vec<Mutant>,
}

/// The origin of each byte of the new text.
pub struct Mapping(Vec<(usize, usize, u32)>);

/// The origin of a byte of the new text.
pub enum From {
    Mutant(u32),
    Source(usize),
}

impl Mapping {
    /// Returns the origin of the byte at `new`.
    pub fn back(&self, new: usize) -> From {
        let mut grown = 0;
        for &(at, length, mutant) in &self.0 {
            if at + grown > new {
                break;
            }
            if at + grown + length > new {
                return From::Mutant(mutant);
            }
            grown += length;
        }
        From::Source(new - grown)
    }
}

impl<'a> Rewriter<'a> {
    /// Numbers the mutants of a file from `first`, and inserts the wanted ones.
    pub fn new(file: &str, source: &'a str, first: u32, wanted: &'a dyn Fn(&str) -> bool) -> Self {
        let (file, function) = (file.to_owned(), Vec::new());
        Rewriter {
            source,
            file,
            next: first,
            wanted,
            function,
            insertions: Vec::new(),
            seen: BTreeMap::new(),
            mutants: Vec::new(),
        }
    }

    /// Visits the whole file.
    pub fn read(&mut self) -> syn::Result<()> {
        let file = syn::parse_file(self.source)?;
        self.visit_file(&file);
        Ok(())
    }

    /// Returns the new text, its mapping, its mutants and the next free number.
    pub fn finish(mut self) -> (String, Mapping, Vec<Mutant>, u32) {
        self.insertions.sort_by_key(|insertion| (insertion.at, insertion.order));
        let (mut text, mut done, mut places) = (String::new(), 0, Vec::new());
        for insertion in &self.insertions {
            text.push_str(&self.source[done..insertion.at]);
            text.push_str(&insertion.text);
            places.push((insertion.at, insertion.text.len(), insertion.mutant));
            done = insertion.at;
        }
        text.push_str(&self.source[done..]);
        (text, Mapping(places), self.mutants, self.next)
    }

    /// Adds a mutant. Returns its number, or `None` if it is not wanted.
    fn mutant(&mut self, change: String, at: Range<usize>, region: Range<usize>) -> Option<u32> {
        let number = self.next;
        self.next += 1;
        let file = self.file.trim_start_matches("runtime-core/src/");
        let mut key = format!("{file}\t{}\t{change}", self.function.join("::"));
        let count = self.seen.entry(key.clone()).or_default();
        *count += 1;
        if *count > 1 {
            key = format!("{key} ({count})");
        }
        if !(self.wanted)(&key) {
            return None;
        }
        let line = self.source[..at.start].matches('\n').count() + 1;
        self.mutants.push(Mutant { number, file: self.file.clone(), line, change, key, region });
        Some(number)
    }

    /// Inserts opening text. Text that is inserted earlier encloses later text at the position.
    fn open(&mut self, range: &Range<usize>, mutant: u32, text: String) {
        let order = (1, -(range.len() as isize), mutant as isize);
        self.insertions.push(Insertion { at: range.start, order, text, mutant });
    }

    fn close(&mut self, range: &Range<usize>, mutant: u32, text: String) {
        let order = (0, range.len() as isize, -(mutant as isize));
        self.insertions.push(Insertion { at: range.end, order, text, mutant });
    }

    /// Encloses an expression, which stays in force while the mutant is off.
    fn wrap(&mut self, expr: &impl Spanned, change: &str, around: impl Fn(u32) -> (String, String)) {
        let range = expr.span().byte_range();
        let shown = short(&self.source[range.clone()]);
        if let Some(n) = self.mutant(format!("{change}: {shown}"), range.clone(), range.clone()) {
            let (before, after) = around(n);
            self.open(&range, n, before);
            self.close(&range, n, after);
        }
    }

    fn always(&mut self, expr: &Expr) {
        self.wrap(expr, "true for", |n| (format!("(crate::mutant::on({n}) || ("), "))".into()));
    }

    fn never(&mut self, expr: &Expr) {
        self.wrap(expr, "false for", |n| (format!("(!crate::mutant::on({n}) && ("), "))".into()));
    }

    fn negated(&mut self, expr: &Expr) {
        self.wrap(expr, "not", |n| (format!("(crate::mutant::on({n}) ^ ("), "))".into()));
    }

    /// Mutates a condition as a whole, and the operands of `&&` and `||` in it. Visits the rest
    /// like any expression.
    fn condition(&mut self, expr: &Expr, both: bool) {
        if has_let(expr) {
            self.operands(expr);
            return;
        }
        if both {
            self.always(expr);
        }
        self.never(expr);
        self.operands(expr);
    }

    /// Visits the operands of an expression that was mutated as a whole already.
    fn operands(&mut self, expr: &Expr) {
        match expr {
            Expr::Paren(paren) => self.operands(&paren.expr),
            Expr::Unary(unary) if matches!(unary.op, UnOp::Not(_)) => self.operands(&unary.expr),
            Expr::Binary(binary) => match binary.op {
                BinOp::And(_) | BinOp::Or(_) => {
                    let and = matches!(binary.op, BinOp::And(_));
                    for side in [&binary.left, &binary.right] {
                        let same = matches!((&**side, and),
                            (Expr::Binary(inner), true) if matches!(inner.op, BinOp::And(_)))
                            || matches!((&**side, and),
                            (Expr::Binary(inner), false) if matches!(inner.op, BinOp::Or(_)));
                        if !same && !has_let(side) {
                            if and {
                                self.always(side);
                            } else {
                                self.never(side);
                            }
                        }
                        self.operands(side);
                    }
                }
                _ => self.binary(binary, true),
            },
            Expr::Macro(_) => {}
            _ => visit::visit_expr(self, expr),
        }
    }

    fn binary(&mut self, binary: &syn::ExprBinary, whole_done: bool) {
        let expr = Expr::Binary(binary.clone());
        match binary.op {
            BinOp::Eq(_) | BinOp::Ne(_) if !whole_done => self.negated(&expr),
            BinOp::Lt(_) | BinOp::Gt(_) | BinOp::Le(_) | BinOp::Ge(_) => {
                if !whole_done {
                    self.negated(&expr);
                }
                let left = &self.source[binary.left.span().byte_range()];
                let right = &self.source[binary.right.span().byte_range()];
                let same = format!("crate::mutant::same(\u{1}, &({left}), &({right}))").replace('\n', " ");
                let strict = matches!(binary.op, BinOp::Lt(_) | BinOp::Gt(_));
                self.wrap(&expr, "the boundary of", |n| {
                    let same = same.replace('\u{1}', &n.to_string());
                    if strict {
                        ("((".into(), format!(") || {same})"))
                    } else {
                        (format!("(!{same} && ("), "))".into())
                    }
                });
            }
            BinOp::BitOr(_) | BinOp::Add(_) | BinOp::Sub(_) => {
                for side in [&binary.left, &binary.right] {
                    let same = matches!(&**side, Expr::Binary(inner)
                        if std::mem::discriminant(&inner.op) == std::mem::discriminant(&binary.op));
                    if !same {
                        self.wrap(side, "0 for", |n| (format!("crate::mutant::zero({n}, "), ")".into()));
                    }
                }
            }
            BinOp::BitAnd(_) => {
                self.wrap(&binary.right, "all ones for", |n| {
                    (format!("crate::mutant::ones({n}, "), ")".into())
                });
            }
            _ => {}
        }
        visit::visit_expr_binary(self, binary);
    }

    /// Adds mutants in which the function returns a fixed value at once.
    fn body(&mut self, output: &ReturnType, block: &syn::Block) {
        let values: Vec<String> = match output {
            ReturnType::Default => vec![String::new()],
            ReturnType::Type(_, kind) => values(kind),
        };
        let range = block.span().byte_range();
        let at = range.start + 1..range.start + 1;
        for value in values {
            if let Some(n) = self.mutant(format!("returns at once: {value}"), range.clone(), range.clone()) {
                self.open(&at, n, format!(" if crate::mutant::on({n}) {{ return {value}; }}"));
            }
        }
    }

    fn function(&mut self, name: String, sig: &syn::Signature, block: &syn::Block, attrs: &[syn::Attribute]) {
        if sig.constness.is_some() || is_test(attrs) {
            return;
        }
        self.function.push(name);
        self.body(&sig.output, block);
        visit::visit_block(self, block);
        self.function.pop();
    }
}

impl Visit<'_> for Rewriter<'_> {
    fn visit_item_mod(&mut self, item: &syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    // Constants have no code that a switch could select.
    fn visit_item_const(&mut self, _: &syn::ItemConst) {}
    fn visit_item_static(&mut self, _: &syn::ItemStatic) {}
    fn visit_impl_item_const(&mut self, _: &syn::ImplItemConst) {}
    fn visit_expr_const(&mut self, _: &syn::ExprConst) {}
    fn visit_type(&mut self, _: &Type) {}
    fn visit_pat(&mut self, _: &Pat) {}
    fn visit_attribute(&mut self, _: &syn::Attribute) {}
    fn visit_expr_repeat(&mut self, repeat: &syn::ExprRepeat) {
        self.visit_expr(&repeat.expr);
    }

    fn visit_item_impl(&mut self, item: &syn::ItemImpl) {
        if is_test(&item.attrs) {
            return;
        }
        if let Type::Path(path) = &*item.self_ty
            && let Some(last) = path.path.segments.last()
        {
            self.function.push(last.ident.to_string());
        }
        visit::visit_item_impl(self, item);
        self.function.pop();
    }

    fn visit_item_fn(&mut self, item: &syn::ItemFn) {
        self.function(item.sig.ident.to_string(), &item.sig, &item.block, &item.attrs);
    }

    fn visit_impl_item_fn(&mut self, item: &syn::ImplItemFn) {
        self.function(item.sig.ident.to_string(), &item.sig, &item.block, &item.attrs);
    }

    fn visit_expr_if(&mut self, item: &syn::ExprIf) {
        self.condition(&item.cond, true);
        self.visit_block(&item.then_branch);
        if let Some((_, other)) = &item.else_branch {
            self.visit_expr(other);
        }
    }

    fn visit_expr_while(&mut self, item: &syn::ExprWhile) {
        self.condition(&item.cond, false);
        self.visit_block(&item.body);
    }

    fn visit_expr_binary(&mut self, item: &syn::ExprBinary) {
        if matches!(item.op, BinOp::And(_) | BinOp::Or(_)) {
            self.operands(&Expr::Binary(item.clone()));
        } else {
            self.binary(item, false);
        }
    }

    fn visit_expr_unary(&mut self, item: &syn::ExprUnary) {
        if matches!(item.op, UnOp::Not(_)) {
            self.negated(&Expr::Unary(item.clone()));
        }
        self.operands(&item.expr);
    }

    fn visit_expr_lit(&mut self, item: &syn::ExprLit) {
        if matches!(item.lit, syn::Lit::Bool(_)) {
            self.negated(&Expr::Lit(item.clone()));
        }
    }

    fn visit_expr_macro(&mut self, item: &syn::ExprMacro) {
        if item.mac.path.is_ident("matches") {
            self.negated(&Expr::Macro(item.clone()));
        }
    }

    fn visit_expr_match(&mut self, item: &syn::ExprMatch) {
        self.visit_expr(&item.expr);
        let region = item.span().byte_range();
        let rest = item.arms.last().is_some_and(|arm| arm.guard.is_none() && catches_all(&arm.pat));
        for (i, arm) in item.arms.iter().enumerate() {
            let pattern = arm.pat.span().byte_range();
            if rest && i + 1 < item.arms.len() {
                let shown = short(&self.source[pattern.clone()]);
                if let Some(n) = self.mutant(format!("no arm {shown}"), pattern.clone(), region.clone()) {
                    match &arm.guard {
                        None => self.close(&pattern, n, format!(" if !crate::mutant::on({n})")),
                        // Encloses all that is inserted for the guard itself.
                        Some((_, guard)) => {
                            let Range { start, end } = guard.span().byte_range();
                            let text = format!("!crate::mutant::on({n}) && (");
                            self.insertions.push(Insertion {
                                at: start,
                                order: (1, isize::MIN, 0),
                                text,
                                mutant: n,
                            });
                            let order = (0, isize::MAX, 0);
                            self.insertions.push(Insertion { at: end, order, text: ")".into(), mutant: n });
                        }
                    }
                }
            }
            if let Some((_, guard)) = &arm.guard {
                if !has_let(guard) {
                    self.always(guard);
                }
                self.operands(guard);
            }
            self.visit_expr(&arm.body);
        }
    }

    fn visit_block(&mut self, block: &syn::Block) {
        for (i, stmt) in block.stmts.iter().enumerate() {
            let last = i + 1 == block.stmts.len();
            match stmt {
                Stmt::Expr(expr, semicolon)
                    if does_something(expr) && (semicolon.is_some() || !last || is_loop(expr)) =>
                {
                    let range = stmt.span().byte_range();
                    let shown = short(&self.source[range.clone()]);
                    if let Some(n) = self.mutant(format!("without {shown}"), range.clone(), range.clone()) {
                        self.open(&range, n, format!("if !crate::mutant::on({n}) {{ "));
                        self.close(&range, n, " }".into());
                    }
                }
                Stmt::Expr(expr, None) if last && does_something(expr) => {
                    let range = expr.span().byte_range();
                    let shown = short(&self.source[range.clone()]);
                    if let Some(n) = self.mutant(format!("Ok(()) for {shown}"), range.clone(), range.clone())
                    {
                        self.open(&range, n, format!("if crate::mutant::on({n}) {{ Ok(()) }} else {{ "));
                        self.close(&range, n, " }".into());
                    }
                }
                _ => {}
            }
            self.visit_stmt(stmt);
        }
    }
}

fn is_loop(expr: &Expr) -> bool {
    matches!(expr, Expr::ForLoop(_) | Expr::While(_))
}

/// Returns true if the statement has an effect that a mutant can leave out.
fn does_something(expr: &Expr) -> bool {
    match expr {
        Expr::Call(call) => {
            !matches!(&*call.func, Expr::Path(path) if path.path.is_ident("Ok") || path.path.is_ident("Err") || path.path.is_ident("Some"))
        }
        Expr::MethodCall(_) | Expr::Try(_) | Expr::Assign(_) | Expr::ForLoop(_) | Expr::While(_) => true,
        Expr::Binary(binary) => is_assignment(&binary.op),
        // The condition of an `if` is a mutant already, except with `let`.
        Expr::If(item) => item.else_branch.is_none() && has_let(&item.cond),
        Expr::Match(_) => true,
        _ => false,
    }
}

fn is_assignment(op: &BinOp) -> bool {
    matches!(
        op,
        BinOp::AddAssign(_)
            | BinOp::SubAssign(_)
            | BinOp::BitOrAssign(_)
            | BinOp::BitAndAssign(_)
            | BinOp::MulAssign(_)
            | BinOp::BitXorAssign(_)
    )
}

fn has_let(expr: &Expr) -> bool {
    match expr {
        Expr::Let(_) => true,
        Expr::Binary(binary) => {
            matches!(binary.op, BinOp::And(_)) && (has_let(&binary.left) || has_let(&binary.right))
        }
        _ => false,
    }
}

fn catches_all(pat: &Pat) -> bool {
    match pat {
        Pat::Wild(_) => true,
        Pat::Ident(ident) => {
            ident.subpat.is_none() && ident.ident.to_string().starts_with(char::is_lowercase)
        }
        Pat::TupleStruct(tuple) => tuple.elems.iter().all(catches_all),
        Pat::Tuple(tuple) => tuple.elems.iter().all(catches_all),
        _ => false,
    }
}

fn is_test(attrs: &[syn::Attribute]) -> bool {
    attrs.iter().any(|attr| {
        attr.path().is_ident("test")
            || attr.path().is_ident("cfg")
                && matches!(&attr.meta, syn::Meta::List(list) if list.tokens.to_string().contains("test"))
    })
}

fn values(kind: &Type) -> Vec<String> {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    match kind {
        Type::Never(_) | Type::ImplTrait(_) => Vec::new(),
        Type::Tuple(tuple) if tuple.elems.is_empty() => texts(&["()"]),
        Type::Reference(_) => texts(&["Default::default()"]),
        Type::Path(path) => {
            let Some(last) = path.path.segments.last() else { return Vec::new() };
            let inner = match &last.arguments {
                syn::PathArguments::AngleBracketed(arguments) => {
                    arguments.args.first().and_then(|argument| match argument {
                        syn::GenericArgument::Type(kind) => Some(kind.clone()),
                        _ => None,
                    })
                }
                _ => None,
            };
            match last.ident.to_string().as_str() {
                "bool" => texts(&["true", "false"]),
                "Option" => texts(&["None"]),
                "u8" | "u16" | "u32" | "u64" | "usize" | "i32" | "i64" | "c_int" => texts(&["0", "1"]),
                "Result" | "StepResult" => match inner {
                    Some(inner) => values(&inner).into_iter().map(|value| format!("Ok({value})")).collect(),
                    None => texts(&["Ok(())"]),
                },
                "Self" => Vec::new(),
                _ => texts(&["Default::default()"]),
            }
        }
        _ => texts(&["Default::default()"]),
    }
}

fn short(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() > 90 { text.chars().take(87).chain("...".chars()).collect() } else { text }
}
