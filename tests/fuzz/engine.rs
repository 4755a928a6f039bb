//! A whole connection, by each door, cut anywhere: heads, bodies, WebSockets, framed streams, Bayeux, whatever comes.

use super::stage::Stage;
use crate::dice::Dice;
use encke::engine::Door;

pub fn run(input: &[u8], dice: &mut Dice) {
    let mut stage = Stage::new();
    let token = stage.open(dice.pick(&[Door::Public, Door::Private, Door::Control]));
    let mut rest = input;
    while !rest.is_empty() {
        let most = dice.pick(&[1, 16, 512, 8_192]);
        let (piece, behind) = rest.split_at(dice.within(1..=rest.len().min(most)));
        stage.tell(token, piece);
        if dice.percent(3) {
            let ms = dice.pick(&[1, 500, 20_000]);
            stage.pass(ms);
        }
        rest = behind;
    }
    if dice.percent(50) {
        stage.end(token);
    }
    stage.check();
}
